//! The connection string of MongoDB, by the rules of the Java driver.
//!
//! ```text
//! mongodb://user:p%40ss@h1:27017,h2/db.coll?replicaSet=rs0&authSource=admin
//!           └ percent-encoded ┘ └ hosts ┘ └ authSource, if not given as an option
//! ```
//!
//! The driver sorts the hosts (`ConnectionString.parseHosts`), and the connector's offsets carry
//! that sorted list, each host as it is written. [`MongoConnection::seeds`] keep the order of the
//! file.
//!
//! `mongodb+srv://` names one host whose servers DNS knows. DNS is not asked here but when a task begins
//! ([`crate::task::locate`]): a configuration check must not wait for the network.
//! Java prints the whole connection string in its errors, password included; we never do.

use millrace_core::link::Address;
use thiserror::Error;

use super::mongo_login::MongoLogin;
use super::report::Report;
use super::uri_options::{UriOptions, has_stray_at_sign};

/// The port of MongoDB where none is given.
const PORT_DEFAULT: u16 = 27017;
/// The driver's default of `serverSelectionTimeoutMS`.
const SERVER_SELECTION_TIMEOUT_MS: u64 = 30_000;

/// Where MongoDB is and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MongoConnection {
    /// Whom to ask first.
    pub(crate) servers: Servers,
    /// The hosts as written, sorted: the part of the offsets' partition name that depends on the
    /// connection.
    pub(crate) hosts: Vec<String>,
    /// The set that must be there.
    pub(crate) replica_set: Option<String>,
    /// How to log in; `None`: not at all.
    pub(crate) login: Option<MongoLogin>,
    /// Whether connections are encrypted, and how strictly; `None`: not at all.
    pub(crate) tls: Option<UriTls>,
    /// What the server's log calls this client.
    pub(crate) app_name: Option<String>,
    /// How long to look for the primary.
    pub(crate) server_selection_timeout_ms: u64,
}

/// What a connection string says of TLS. Whom to trust stands in `connection.ssl.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UriTls {
    /// Whether a certificate must be for the host that was connected to.
    pub(crate) checks_host_name: bool,
}

/// Servers to ask first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// In the order of the file.
    Listed(Vec<Address>),
    /// DNS knows them: `mongodb+srv://`.
    Srv(SrvName),
}

/// What DNS is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SrvName {
    /// The one host of the string; it has a [`SrvName::parent_domain`].
    pub(crate) host: String,
    /// `srvServiceName`.
    pub(crate) service: String,
    /// `srvMaxHosts`: as many servers at most, whichever; `None`: all.
    pub(crate) hosts_max: Option<usize>,
}

impl SrvName {
    /// The domain that all servers must be in: the host without its first label.
    ///
    /// # Errors
    /// [`UriError::SrvLabels`]: it would be a top level domain, which anybody may have a server in.
    pub(crate) fn parent_domain(&self) -> Result<&str, UriError> {
        match self.host.split_once('.') {
            Some((_, parent)) if parent.trim_end_matches('.').contains('.') => Ok(parent),
            Some(_) | None => Err(UriError::SrvLabels(self.host.clone())),
        }
    }
}

/// Why a connection string cannot be used. Never holds the string itself.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum UriError {
    #[error(
        "The connection string is invalid. Connection strings must start with either 'mongodb://' \
         or 'mongodb+srv://"
    )]
    Scheme,
    #[error("Only one host allowed when using mongodb+srv protocol")]
    SrvHosts,
    #[error("Host for when using mongodb+srv protocol can not contain a port")]
    SrvPort,
    #[error(
        "An SRV host name '{0}' was provided that does not contain at least three parts. It must contain a hostname, \
         domain name and a top level domain."
    )]
    SrvLabels(String),
    #[error("{0} can only be specified with mongodb+srv protocol")]
    SrvOption(&'static str),
    #[error("srvMaxHosts must be >= 0")]
    SrvMaxHosts,
    #[error("srvMaxHosts can not be specified with replica set name")]
    SrvMaxHostsOfSet,
    #[error("The connection string contains an empty host")]
    NoHost,
    #[error(
        "The connection string contains an invalid host '{0}'. Write host:port with a port from 1 \
         to 65535; an IPv6 address stands in '[' and ']'"
    )]
    Host(String),
    #[error("Unix domain sockets are not supported: '{0}'")]
    UnixSocket(String),
    #[error(
        "The connection string contains invalid user information. If the username or password \
         contains a colon (:) or an at-sign (@) then it must be urlencoded"
    )]
    UserInfo,
    #[error("username can not be null")]
    NoUsername,
    #[error("Password can not be null")]
    NoPassword,
    #[error("Invalid mechanism, MONGODB_x509 does not support passwords")]
    CertificateWithPassword,
    #[error("Invalid authSource for MONGODB-X509, it must be '$external'")]
    NotExternal,
    #[error(
        "The connection string contains '%' that is not followed by two hex digits of UTF-8 text"
    )]
    PercentEncoding,
    #[error("The connection string contains options without trailing slash")]
    OptionsWithoutSlash,
    #[error(
        "The connection string contains an invalid option '{0}'. '{0}' is missing the value \
         delimiter eg '{0}=value'"
    )]
    OptionWithoutValue(String),
    #[error(
        "The connection string contains an invalid value for '{name}'. '{value}' is not a valid \
         integer"
    )]
    NotAnInteger { name: &'static str, value: String },
    #[error("option {name} is not supported by this version: {why}")]
    OptionNotYet { name: String, why: &'static str },
    #[error("Conflicting tls and ssl parameter values are not allowed")]
    TlsConflict,
    #[error(
        "tlsAllowInvalidHostnames or sslInvalidHostnameAllowed set along with tlsInsecure is not allowed"
    )]
    InsecureConflict,
    #[error("authSource can not be an empty string")]
    EmptyAuthSource,
    #[error(
        "authMechanism {0} is not supported by this version; use SCRAM-SHA-256, SCRAM-SHA-1 or MONGODB-X509"
    )]
    Mechanism(String),
}

impl UriError {
    /// Whether the text has a piece of the string, which could belong to a password that is not encoded.
    pub(super) fn quotes_string(&self) -> bool {
        match self {
            Self::SrvLabels(_)
            | Self::Host(_)
            | Self::UnixSocket(_)
            | Self::OptionWithoutValue(_)
            | Self::NotAnInteger { .. }
            | Self::Mechanism(_) => true,
            Self::Scheme
            | Self::SrvHosts
            | Self::SrvPort
            | Self::SrvOption(_)
            | Self::SrvMaxHosts
            | Self::SrvMaxHostsOfSet
            | Self::NoHost
            | Self::UserInfo
            | Self::NoUsername
            | Self::NoPassword
            | Self::CertificateWithPassword
            | Self::NotExternal
            | Self::PercentEncoding
            | Self::OptionsWithoutSlash
            | Self::OptionNotYet { .. }
            | Self::TlsConflict
            | Self::InsecureConflict
            | Self::EmptyAuthSource => false,
        }
    }
}

impl MongoConnection {
    /// Of a string that is right.
    #[cfg(test)]
    pub(crate) fn of_test(uri: &str) -> Self {
        Self::parse(uri, &mut Report::new(true, Vec::new())).unwrap()
    }

    /// Reads a connection string; what its options mean here goes to `report`.
    pub(super) fn parse(uri: &str, report: &mut Report) -> Result<Self, UriError> {
        let (is_srv, rest) = match uri.strip_prefix("mongodb+srv://") {
            Some(rest) => (true, rest),
            None => (false, uri.strip_prefix("mongodb://").ok_or(UriError::Scheme)?),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('?') {
            return Err(UriError::OptionsWithoutSlash);
        }
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        let (database, options) = path.split_once('?').unwrap_or((path, ""));
        // The slash of a password that is not urlencoded ends what is taken for hosts. Looked at first: later errors
        // would quote the password, and what seems to be right would leave the login out.
        if user_info.is_none() && (database.contains('@') || has_stray_at_sign(options)) {
            return Err(UriError::UserInfo);
        }
        let options = UriOptions::parse(options, report)?;
        let servers = if is_srv {
            Servers::Srv(srv(hosts, &options)?)
        } else {
            Servers::Listed(listed(hosts, &options)?)
        };
        let mut hosts: Vec<String> = hosts_as_written(hosts).map(str::to_owned).collect();
        hosts.sort_unstable();
        let selection_ms =
            timeout_ms("serverSelectionTimeoutMS", options.server_selection_timeout_ms.as_deref())?;
        let tls = tls(&options, is_srv)?;
        let login = MongoLogin::parse(user_info, database, &options)?;
        Ok(Self {
            servers,
            hosts,
            replica_set: options.replica_set,
            login,
            tls,
            app_name: options.app_name,
            server_selection_timeout_ms: selection_ms.unwrap_or(SERVER_SELECTION_TIMEOUT_MS),
        })
    }
}

/// As the driver has it: `ssl` and `tls` are one option, and on for servers that DNS knows; `tlsInsecure` lets host
/// names differ, and nothing more.
fn tls(options: &UriOptions, is_srv: bool) -> Result<Option<UriTls>, UriError> {
    let mut wanted: Vec<bool> = options.tls.iter().map(|text| is_true(text)).collect();
    if wanted.is_empty() {
        wanted.push(is_srv);
    }
    if wanted.contains(&true) && wanted.contains(&false) {
        return Err(UriError::TlsConflict);
    }
    if options.any_host_name.is_some() && options.tls_insecure.is_some() {
        return Err(UriError::InsecureConflict);
    }
    let lax = options.any_host_name.as_ref().or(options.tls_insecure.as_ref());
    let checks_host_name = !lax.is_some_and(|text| is_true(text));
    Ok(wanted.contains(&true).then_some(UriTls { checks_host_name }))
}

/// A boolean of the driver: `true` or `yes`, in any case; anything else is false.
fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes")
}

/// The hosts; like Java's `split`, empty ones at the end are dropped.
fn hosts_as_written(hosts: &str) -> impl Iterator<Item = &str> {
    hosts.trim_end_matches(',').split(',')
}

/// The one host of `mongodb+srv://`, and how many servers of it are wanted.
fn srv(hosts: &str, options: &UriOptions) -> Result<SrvName, UriError> {
    let mut all = hosts_as_written(hosts);
    let host = all.next().filter(|host| !host.is_empty()).ok_or(UriError::NoHost)?;
    if all.next().is_some() {
        return Err(UriError::SrvHosts);
    }
    if host.contains(':') {
        return Err(UriError::SrvPort);
    }
    let hosts_max = match options.srv_max_hosts.as_deref().map(str::parse::<i32>) {
        None => None,
        Some(Ok(count)) => Some(usize::try_from(count).map_err(|_| UriError::SrvMaxHosts)?),
        Some(Err(_)) => {
            let value = options.srv_max_hosts.clone().unwrap_or_default();
            return Err(UriError::NotAnInteger { name: "srvMaxHosts", value });
        }
    };
    let hosts_max = hosts_max.filter(|count| *count != 0);
    if hosts_max.is_some() && options.replica_set.is_some() {
        return Err(UriError::SrvMaxHostsOfSet);
    }
    let service = options.srv_service_name.clone().unwrap_or_else(|| "mongodb".to_owned());
    let name = SrvName { host: host.to_owned(), service, hosts_max };
    name.parent_domain()?;
    Ok(name)
}

/// The hosts of `mongodb://`.
fn listed(hosts: &str, options: &UriOptions) -> Result<Vec<Address>, UriError> {
    if options.srv_max_hosts.is_some() {
        return Err(UriError::SrvOption("srvMaxHosts"));
    }
    if options.srv_service_name.is_some() {
        return Err(UriError::SrvOption("srvServiceName"));
    }
    hosts_as_written(hosts)
        .map(|host| {
            if host.is_empty() {
                return Err(UriError::NoHost);
            }
            if host.ends_with(".sock") {
                return Err(UriError::UnixSocket(host.to_owned()));
            }
            let several_colons = !host.starts_with('[') && host.matches(':').count() > 1;
            match Address::parse(host, PORT_DEFAULT) {
                Some(address) if address.port != 0 && !several_colons => Ok(address),
                Some(_) | None => Err(UriError::Host(host.to_owned())),
            }
        })
        .collect()
}

/// The number, `None` for none or for a negative one, which means the default in Java.
fn timeout_ms(name: &'static str, text: Option<&str>) -> Result<Option<u64>, UriError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i32>() {
        Ok(number) => Ok(u64::try_from(number).ok()),
        Err(_) => Err(UriError::NotAnInteger { name, value: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<MongoConnection, UriError> {
        MongoConnection::parse(uri, &mut Report::new(true, Vec::new()))
    }

    #[test]
    fn every_part_is_read() {
        let uri = [
            "mongodb://us%40er:p%3Ass@h2:27018,h1/db.coll?replicaSet=rs0&appName=x%20y",
            "directConnection=false&serverSelectionTimeoutMS=5&connectTimeoutMS=6",
            "authMechanism=SCRAM-SHA-256",
        ];
        let connection = parse(&uri.join("&")).unwrap();
        let Some(MongoLogin::Password { username, password, auth_source, .. }) = &connection.login
        else {
            panic!("{connection:?}")
        };
        assert_eq!((username.as_str(), password.expose()), ("us@er", "p:ss"));
        assert_eq!(auth_source.name(), "db");
        let seeds = vec![Address::new("h2", 27018), Address::new("h1", 27017)];
        assert_eq!(connection.servers, Servers::Listed(seeds));
        assert_eq!(connection.replica_set.as_deref(), Some("rs0"));
        assert_eq!(connection.app_name.as_deref(), Some("x y"));
        assert_eq!(connection.server_selection_timeout_ms, 5);
        assert!(!format!("{connection:?}").contains("p:ss"));
    }

    /// Each expectation was printed by the connector's `createDefaultPartitionName`.
    #[test]
    fn hosts_are_as_written_and_sorted() {
        let hosts = |uri: &str| parse(uri).unwrap().hosts.join(",");
        assert_eq!(hosts("mongodb://u:p%40@h2:27018,h1/?replicaSet=x"), "h1,h2:27018");
        assert_eq!(hosts("mongodb://b,B,a:1,[::1]:5,[::1]"), "B,[::1],[::1]:5,a:1,b");
        assert_eq!(hosts("mongodb://h1,h1:27017"), "h1,h1:27017");
        assert_eq!(hosts("mongodb://H1"), "H1");
        assert_eq!(hosts("mongodb://h1,"), "h1");
    }

    #[test]
    fn wrong_strings_are_refused_with_their_reason() {
        for (uri, error) in [
            ("localhost:27017", UriError::Scheme),
            ("mongodb+srv://", UriError::NoHost),
            ("mongodb+srv://a.b.c:27", UriError::SrvPort),
            ("mongodb+srv://a.b.c,d.e.f", UriError::SrvHosts),
            ("mongodb+srv://u:p@b.c", UriError::SrvLabels("b.c".to_owned())),
            ("mongodb+srv://u:p@b.c./", UriError::SrvLabels("b.c.".to_owned())),
            ("mongodb+srv://u:p@c", UriError::SrvLabels("c".to_owned())),
            ("mongodb+srv://a.b.c/?srvMaxHosts=-1", UriError::SrvMaxHosts),
            ("mongodb+srv://a.b.c/?replicaSet=x&srvMaxHosts=1", UriError::SrvMaxHostsOfSet),
            ("mongodb://h/?srvMaxHosts=0", UriError::SrvOption("srvMaxHosts")),
            ("mongodb://h/?srvServiceName=x", UriError::SrvOption("srvServiceName")),
            ("mongodb://", UriError::NoHost),
            ("mongodb:///", UriError::NoHost),
            ("mongodb://a,,b", UriError::NoHost),
            ("mongodb://h1:0", UriError::Host("h1:0".to_owned())),
            ("mongodb://root:s3cr/et@h:27017/", UriError::UserInfo),
            ("mongodb://u:12345/x@h/", UriError::UserInfo),
            ("mongodb://u:1/2?secret@h/db", UriError::UserInfo),
            ("mongodb://u:1/2?secret=x@h/db?w=1", UriError::UserInfo),
            ("mongodb+srv://a.b.c/x@d.e.f/", UriError::UserInfo),
            ("mongodb://a:0/?appName=b", UriError::Host("a:0".to_owned())),
            ("mongodb://a:70000", UriError::Host("a:70000".to_owned())),
            ("mongodb://::1/", UriError::Host("::1".to_owned())),
            ("mongodb://[::1/", UriError::Host("[::1".to_owned())),
            ("mongodb://%2Ftmp%2Fm.sock/", UriError::UnixSocket("%2Ftmp%2Fm.sock".to_owned())),
            ("mongodb://u:p:q@h1", UriError::UserInfo),
            ("mongodb://u:p@q@h1", UriError::UserInfo),
            ("mongodb://:p@h1", UriError::UserInfo),
            ("mongodb://u@h1/", UriError::NoPassword),
            ("mongodb://%zz:p@a/", UriError::PercentEncoding),
            ("mongodb://h1?replicaSet=x", UriError::OptionsWithoutSlash),
            ("mongodb://h1/?replicaSet", UriError::OptionWithoutValue("replicaSet".to_owned())),
            ("mongodb://u:p@a/d?authSource=", UriError::EmptyAuthSource),
            ("mongodb://u:p@a/?authMechanism=PLAIN", UriError::Mechanism("PLAIN".to_owned())),
        ] {
            assert_eq!(parse(uri), Err(error), "{uri}");
        }
        let error = parse("mongodb://h1/?serverSelectionTimeoutMS=zz").unwrap_err();
        assert!(error.to_string().ends_with("'zz' is not a valid integer"));
    }

    #[test]
    fn an_at_sign_is_taken_where_it_can_be_no_end_of_a_password() {
        let app_name = |uri: &str| parse(uri).unwrap().app_name;
        assert_eq!(app_name("mongodb://h/db?w=1&appName=a@b").as_deref(), Some("a@b"));
        assert_eq!(app_name("mongodb://u:p@h/d@b?appName=a@b").as_deref(), Some("a@b"));
        assert_eq!(app_name("mongodb://h/d%40b"), None);
    }

    /// As the driver reads them: `ConnectionString` of version 4.7.
    #[test]
    fn ssl_and_tls_are_one_option_and_must_not_differ() {
        let tls = |options: &str| parse(&format!("mongodb://h/?{options}")).map(|uri| uri.tls);
        let (strict, lax) = (UriTls { checks_host_name: true }, UriTls { checks_host_name: false });
        assert_eq!(tls("w=1"), Ok(None));
        assert_eq!(tls("tls=false"), Ok(None));
        assert_eq!(tls("ssl=true"), Ok(Some(strict)));
        assert_eq!(tls("tls=true&ssl=yes"), Ok(Some(strict)));
        assert_eq!(tls("tls=true&ssl=false"), Err(UriError::TlsConflict));
        assert_eq!(tls("tls=true&tlsAllowInvalidHostnames=true"), Ok(Some(lax)));
        assert_eq!(tls("tls=true&sslInvalidHostNameAllowed=true"), Ok(Some(lax)));
        assert_eq!(tls("tls=true&tlsInsecure=true"), Ok(Some(lax)));
        assert_eq!(tls("tlsInsecure=true"), Ok(None));
        assert_eq!(
            tls("tls=true&tlsInsecure=true&tlsAllowInvalidHostnames=true"),
            Err(UriError::InsecureConflict)
        );
    }

    #[test]
    fn servers_that_dns_knows_are_named_by_one_host_and_encrypted() {
        let srv = |options: &str| parse(&format!("mongodb+srv://u:p@a.b.c/db{options}")).unwrap();
        let usual = srv("");
        let name = |service: &str, hosts_max| {
            let (host, service) = ("a.b.c".to_owned(), service.to_owned());
            Servers::Srv(SrvName { host, service, hosts_max })
        };
        assert_eq!(usual.servers, name("mongodb", None));
        assert_eq!(usual.hosts, ["a.b.c"]);
        assert_eq!(usual.tls, Some(UriTls { checks_host_name: true }));
        assert_eq!(srv("?ssl=false").tls, None);
        let chosen = srv("?srvMaxHosts=2&srvServiceName=other");
        assert_eq!(chosen.servers, name("other", Some(2)));
        assert_eq!(srv("?replicaSet=x&srvMaxHosts=0").servers, name("mongodb", None));
    }

    #[test]
    fn option_that_cannot_be_honoured_is_refused_by_name() {
        for (option, name) in [
            ("readPreference=secondary", "readPreference"),
            ("readConcernLevel=local", "readConcernLevel"),
            ("loadBalanced=true", "loadBalanced"),
            ("directConnection=true", "directConnection"),
            ("authMechanismProperties=A:B", "authMechanismProperties"),
            ("maxStalenessSeconds=90", "maxStalenessSeconds"),
        ] {
            match parse(&format!("mongodb://h/?{option}")) {
                Err(UriError::OptionNotYet { name: refused, .. }) => assert_eq!(refused, name),
                other => panic!("{option}: {other:?}"),
            }
        }
    }

    #[test]
    fn option_without_effect_is_taken_and_noted() {
        let mut report = Report::new(false, Vec::new());
        let uri =
            "mongodb://h/?w=majority;retryWrites=true&readPreference=Primary&tls=false&repicaSet=x";
        MongoConnection::parse(uri, &mut report).unwrap();
        let notices = report
            .finish("c".as_ref(), super::super::error::Subject::Connector, Some(()))
            .unwrap()
            .1;
        let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "connection.uri: option w: the source connector does not write to MongoDB",
                "connection.uri: option retryWrites: the source connector does not write to \
                 MongoDB",
                "The configuration 'connection.uri: repicaSet' was supplied but isn't a known \
                 config. Did you mean 'replicaset'?",
            ]
        );
    }

    /// The official driver reads the same hosts and the same user.
    #[test]
    fn official_driver_agrees() {
        use mongodb::options::{ConnectionString, HostInfo, ServerAddress};
        for uri in [
            "mongodb://h1",
            "mongodb://h2:27018,h1/?replicaSet=rs0",
            "mongodb://us%40er:p%3Ass@[::1]:5/db?authMechanism=SCRAM-SHA-256",
        ] {
            let theirs = ConnectionString::parse(uri).unwrap();
            let ours = parse(uri).unwrap();
            let HostInfo::HostIdentifiers(hosts) = theirs.host_info else { panic!("{uri}") };
            let hosts: Vec<Address> = hosts
                .into_iter()
                .map(|host| {
                    let ServerAddress::Tcp { host, port } = host else { panic!("{uri}") };
                    Address::new(host.trim_matches(['[', ']']), port.unwrap_or(27017))
                })
                .collect();
            assert_eq!(ours.servers, Servers::Listed(hosts));
            assert_eq!(ours.replica_set, theirs.replica_set);
            let user =
                theirs.credential.as_ref().and_then(|credential| credential.username.clone());
            let our_user = ours.login.map(|login| match login {
                MongoLogin::Password { username, .. } => username,
                MongoLogin::Certificate { .. } => panic!("{uri}"),
            });
            assert_eq!(our_user, user);
        }
    }
}
