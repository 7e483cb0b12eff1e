//! Where MongoDB's servers are: as the connection string lists them, or as DNS says (`mongodb+srv://`).
//!
//! ```text
//!  _mongodb._tcp.cluster.example.com  SRV   shard-0.example.com:27017 …   the servers
//!  cluster.example.com                TXT   authSource=admin&replicaSet=rs0   unless the string says otherwise
//! ```
//!
//! Asked once, when a task begins; from then on the members of a replica set name each other. Routers (`mongos`) do
//! not: a new one is found when the task begins anew. The rules are those of the Java driver (`DefaultDnsResolver` and
//! `ConnectionString` of version 4.7), its words too.

use std::net::SocketAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use millrace_core::link::Address;
use millrace_core::mongo::login::Login;
use millrace_core::mongo::scram::Credentials;
use rand::seq::SliceRandom as _;
use thiserror::Error;

use crate::config::{MongoConnection, MongoLogin, Servers, SrvName, UriError, read_options};

/// Names the DNS server to ask, `address:port`, instead of those of the system.
const DNS_VARIABLE: &str = "MILLRACE_DNS_SERVER";

/// What a connection string comes to.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// Servers to ask first; at least one.
    pub(crate) seeds: Vec<Address>,
    /// The set that must be there.
    pub(crate) replica_set: Option<String>,
    /// How to log in; `None`: not at all.
    pub(crate) login: Option<Login>,
}

/// Why the servers cannot be found.
#[derive(Debug, Error)]
pub(crate) enum LocateError {
    #[error("there is no DNS to ask for the servers of mongodb+srv://: {0}")]
    Resolver(String),
    #[error(
        "Failed looking up {record} record for '{name}': {error}; is the host in connection.uri right?"
    )]
    LookUp { record: &'static str, name: String, error: Box<NetError> },
    #[error("No SRV records available for '{0}'.")]
    NoServer(String),
    #[error(
        "The SRV host name '{srv_host}' resolved to a host '{host}' that is not in a sub-domain of the SRV host."
    )]
    OtherDomain { srv_host: String, host: String },
    #[error("Multiple TXT records found for host '{0}'.  Only one is permitted")]
    SeveralTxt(String),
    #[error(
        "A TXT record is only permitted to contain the keys [authsource, replicaset, loadbalanced], but the TXT \
         record for '{host}' contains '{found}'"
    )]
    TxtOption { host: String, found: String },
    #[error(
        "the TXT record for '{0}' asks for loadBalanced: load balancers are not supported by this version"
    )]
    LoadBalanced(String),
    #[error(transparent)]
    Uri(UriError),
}

impl LocateError {
    /// Whether another try may go better: DNS was away.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Resolver(_) | Self::LookUp { .. } => true,
            Self::NoServer(_)
            | Self::OtherDomain { .. }
            | Self::SeveralTxt(_)
            | Self::TxtOption { .. }
            | Self::LoadBalanced(_)
            | Self::Uri(_) => false,
        }
    }
}

/// Finds the servers of `mongo`.
///
/// # Errors
/// See [`LocateError`].
pub(crate) async fn locate(mongo: &MongoConnection) -> Result<Located, LocateError> {
    match &mongo.servers {
        Servers::Listed(seeds) => located(mongo, seeds.clone(), TxtOptions::default(), None),
        Servers::Srv(name) => locate_by(&resolver()?, mongo, name).await,
    }
}

async fn locate_by(
    resolver: &TokioResolver,
    mongo: &MongoConnection,
    name: &SrvName,
) -> Result<Located, LocateError> {
    let seeds = servers(resolver, name).await?;
    let txt = txt_options(resolver, &name.host).await?;
    located(mongo, seeds, txt, name.hosts_max)
}

fn located(
    mongo: &MongoConnection,
    mut seeds: Vec<Address>,
    txt: TxtOptions,
    hosts_max: Option<usize>,
) -> Result<Located, LocateError> {
    let replica_set = mongo.replica_set.clone().or(txt.replica_set);
    if let Some(hosts_max) = hosts_max {
        if replica_set.is_some() {
            return Err(LocateError::Uri(UriError::SrvMaxHostsOfSet));
        }
        seeds.shuffle(&mut rand::rng());
        seeds.truncate(hosts_max);
    }
    let login = mongo.login.as_ref().map(|login| match login {
        MongoLogin::Password { username, password, auth_source, mechanism } => {
            Ok(Login::Password(Credentials {
                username: username.clone(),
                password: password.expose().to_owned(),
                source: auth_source.or_txt(txt.auth_source.as_deref()).name().to_owned(),
                mechanism: *mechanism,
            }))
        }
        MongoLogin::Certificate { username, auth_source } => {
            let checked = auth_source.or_txt(txt.auth_source.as_deref()).check_external();
            checked.map(|()| Login::Certificate { username: username.clone() })
        }
    });
    Ok(Located { seeds, replica_set, login: login.transpose().map_err(LocateError::Uri)? })
}

/// Of the system, unless another server is named.
fn resolver() -> Result<TokioResolver, LocateError> {
    let named = std::env::var(DNS_VARIABLE).ok().map(|text| {
        let wrong = |_| LocateError::Resolver(format!("{DNS_VARIABLE}={text} is no address:port"));
        text.parse::<SocketAddr>().map_err(wrong)
    });
    match named.transpose()? {
        Some(server) => resolver_at(server),
        None => {
            let failed = |error: NetError| LocateError::Resolver(error.to_string());
            TokioResolver::builder_tokio().map_err(failed)?.build().map_err(failed)
        }
    }
}

fn resolver_at(server: SocketAddr) -> Result<TokioResolver, LocateError> {
    let mut connection = ConnectionConfig::udp();
    connection.port = server.port();
    let server = NameServerConfig::new(server.ip(), true, vec![connection]);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.build().map_err(|error| LocateError::Resolver(error.to_string()))
}

/// The servers behind `name`, in the order of the answer.
async fn servers(resolver: &TokioResolver, name: &SrvName) -> Result<Vec<Address>, LocateError> {
    let SrvName { host: srv_host, service, .. } = name;
    let domain = name.parent_domain().map_err(LocateError::Uri)?;
    let asked = format!("_{service}._tcp.{srv_host}");
    // The dot at the end keeps the search list of the system out of it.
    let answer = match resolver.srv_lookup(format!("{asked}.")).await {
        Ok(answer) => answer,
        Err(error) if error.is_no_records_found() => return Err(LocateError::NoServer(asked)),
        Err(error) => {
            let error = Box::new(error);
            return Err(LocateError::LookUp { record: "SRV", name: asked, error });
        }
    };
    let mut servers = Vec::new();
    for record in answer.answers() {
        let RData::SRV(srv) = &record.data else { continue };
        let host = srv.target.to_ascii().trim_end_matches('.').to_owned();
        if !is_below(domain, parent(&host)) {
            let srv_host = srv_host.clone();
            return Err(LocateError::OtherDomain { srv_host, host });
        }
        servers.push(Address::new(host, srv.port));
    }
    if servers.is_empty() { Err(LocateError::NoServer(asked)) } else { Ok(servers) }
}

/// Without the first label: nothing for a name of one, which so is below no domain.
fn parent(host: &str) -> &str {
    host.split_once('.').map_or("", |(_, parent)| parent)
}

/// Whether `name` is `domain` or ends with all its labels.
fn is_below(domain: &str, name: &str) -> bool {
    let mut names = name.rsplit('.');
    domain.rsplit('.').all(|label| names.next().is_some_and(|own| own.eq_ignore_ascii_case(label)))
}

/// What a TXT record may add to a connection string.
#[derive(Debug, Default, PartialEq, Eq)]
struct TxtOptions {
    auth_source: Option<String>,
    replica_set: Option<String>,
}

async fn txt_options(resolver: &TokioResolver, host: &str) -> Result<TxtOptions, LocateError> {
    let answer = match resolver.txt_lookup(format!("{host}.")).await {
        Ok(answer) => answer,
        Err(error) if error.is_no_records_found() => return Ok(TxtOptions::default()),
        Err(error) => {
            let (name, error) = (host.to_owned(), Box::new(error));
            return Err(LocateError::LookUp { record: "TXT", name, error });
        }
    };
    let mut texts = answer.answers().iter().filter_map(|record| {
        let RData::TXT(txt) = &record.data else { return None };
        Some(txt.txt_data.concat())
    });
    let Some(text) = texts.next() else { return Ok(TxtOptions::default()) };
    if texts.next().is_some() {
        return Err(LocateError::SeveralTxt(host.to_owned()));
    }
    TxtOptions::parse(host, &String::from_utf8_lossy(&text))
}

impl TxtOptions {
    fn parse(host: &str, text: &str) -> Result<Self, LocateError> {
        let mut options = Self::default();
        for option in read_options(text) {
            let (name, value) = option.map_err(LocateError::Uri)?;
            match name.to_ascii_lowercase().as_str() {
                "authsource" if value.is_empty() => {
                    return Err(LocateError::Uri(UriError::EmptyAuthSource));
                }
                "authsource" => options.auth_source = Some(value),
                "replicaset" if value.is_empty() => {}
                "replicaset" => options.replica_set = Some(value),
                "loadbalanced" if value.eq_ignore_ascii_case("false") => {}
                "loadbalanced" => return Err(LocateError::LoadBalanced(host.to_owned())),
                _ => {
                    let (host, found) = (host.to_owned(), name.to_owned());
                    return Err(LocateError::TxtOption { host, found });
                }
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
#[path = "../../tests/harness/dns.rs"]
mod dns;

#[cfg(test)]
mod tests {
    use super::dns::{Answer, DnsServer};
    use super::*;

    const HOST: &str = "cluster.example.com";
    const SERVICE: &str = "_mongodb._tcp.cluster.example.com";

    /// What a connector with this string finds with these answers.
    async fn find(uri: &str, answers: &[(&str, Answer)]) -> Result<Located, String> {
        let dns = DnsServer::start(answers).await.unwrap();
        let mongo = MongoConnection::of_test(uri);
        let Servers::Srv(name) = &mongo.servers else { panic!("{uri}") };
        let resolver = resolver_at(dns.address()).unwrap();
        locate_by(&resolver, &mongo, name).await.map_err(|error| error.to_string())
    }

    fn srv(servers: &[(&str, u16)]) -> Answer {
        Answer::Srv(servers.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect())
    }

    fn txt(records: &[&str]) -> Answer {
        Answer::Txt(records.iter().map(|text| (*text).to_owned()).collect())
    }

    const URI: &str = "mongodb+srv://u:p@cluster.example.com/db";

    #[tokio::test]
    async fn servers_and_options_are_those_of_dns() {
        let servers = srv(&[("b.example.com", 27018), ("a.sub.example.com", 27017)]);
        let options = txt(&["authSource=zz&replicaSet=rs0"]);
        let answers = [(SERVICE, servers.clone()), (HOST, options)];
        let located = find(URI, &answers).await.unwrap();
        let seeds =
            [Address::new("b.example.com", 27018), Address::new("a.sub.example.com", 27017)];
        assert_eq!(located.seeds, seeds);
        assert_eq!(located.replica_set.as_deref(), Some("rs0"));
        let source = |located: Located| match located.login {
            Some(Login::Password(credentials)) => credentials.source,
            other => panic!("{other:?}"),
        };
        assert_eq!(source(located), "zz");
        // What the string says counts more; without a record its own defaults do.
        let located =
            find(&format!("{URI}?authSource=own&replicaSet=rs1"), &answers).await.unwrap();
        assert_eq!(located.replica_set.as_deref(), Some("rs1"));
        assert_eq!(source(located), "own");
        let located = find(URI, &[(SERVICE, servers)]).await.unwrap();
        assert_eq!((located.replica_set.clone(), source(located)), (None, "db".to_owned()));
    }

    #[tokio::test]
    async fn another_service_and_fewer_servers_may_be_asked_for() {
        let all: Vec<String> = (0..9).map(|i| format!("s{i}.example.com")).collect();
        let servers: Vec<(&str, u16)> = all.iter().map(|host| (host.as_str(), 1)).collect();
        let answers = [("_other._tcp.cluster.example.com", srv(&servers))];
        let uri = format!("{URI}?srvServiceName=other&srvMaxHosts=");
        for (hosts_max, count) in [(0, 9), (2, 2), (20, 9)] {
            let mut seeds = find(&format!("{uri}{hosts_max}"), &answers).await.unwrap().seeds;
            seeds.dedup();
            assert_eq!(seeds.len(), count);
            assert!(seeds.iter().all(|seed| all.contains(&seed.host)), "{seeds:?}");
        }
    }

    #[tokio::test]
    async fn servers_of_another_domain_are_refused() {
        for host in ["a.example.org", "example.com.evil.org", "a.notexample.com", "com", "b.com"] {
            let error = find(URI, &[(SERVICE, srv(&[("a.example.com", 1), (host, 1)]))]).await;
            let error = error.unwrap_err();
            assert!(error.contains(&format!("'{host}' that is not in a sub-domain")), "{error}");
        }
        assert!(find(URI, &[(SERVICE, srv(&[("A.Example.COM", 1)]))]).await.is_ok());
    }

    #[tokio::test]
    async fn a_host_right_below_a_top_level_domain_vouches_for_no_server() {
        let answers = [("_mongodb._tcp.example.com", srv(&[("db.evil.com", 1)]))];
        let dns = DnsServer::start(&answers).await.unwrap();
        let (host, service) = ("example.com".to_owned(), "mongodb".to_owned());
        let name = SrvName { host, service, hosts_max: None };
        let found = servers(&resolver_at(dns.address()).unwrap(), &name).await;
        let error = found.unwrap_err().to_string();
        assert!(error.contains("'example.com' was provided that does not contain"), "{error}");
    }

    #[tokio::test]
    async fn a_server_is_connected_to_by_the_name_that_dns_has_for_it() {
        let servers = srv(&[("xn--bcher-kva.example.com", 1)]);
        let seeds = find(URI, &[(SERVICE, servers)]).await.unwrap().seeds;
        assert_eq!(seeds, [Address::new("xn--bcher-kva.example.com", 1)]);
    }

    #[test]
    fn options_of_dns_are_read_like_those_of_a_connection_string() {
        let options = |text: &str| TxtOptions::parse(HOST, text).unwrap();
        let both = |auth_source: &str, replica_set: Option<&str>| TxtOptions {
            auth_source: Some(auth_source.to_owned()),
            replica_set: replica_set.map(str::to_owned),
        };
        assert_eq!(options("authSource=a%40b;replicaSet=r%20s"), both("a@b", Some("r s")));
        assert_eq!(options("&AUTHSOURCE=a&;replicaset="), both("a", None));
    }

    #[tokio::test]
    async fn what_a_record_must_not_say_is_refused() {
        let servers = srv(&[("a.example.com", 1)]);
        let certificate = "mongodb+srv://cluster.example.com/?authMechanism=MONGODB-X509";
        let few = &format!("{URI}?srvMaxHosts=1");
        for (uri, records, said) in [
            (URI, txt(&["tls=false"]), "[authsource, replicaset, loadbalanced]"),
            (URI, txt(&["authSource"]), "missing the value delimiter"),
            (URI, txt(&["authSource=%4"]), "two hex digits"),
            (URI, txt(&["authSource="]), "authSource can not be an empty string"),
            (URI, txt(&["loadBalanced=true"]), "loadBalanced"),
            (URI, txt(&["authSource=a", "replicaSet=b"]), "Multiple TXT records found for host"),
            (certificate, txt(&["authSource=admin"]), "it must be '$external'"),
            (few, txt(&["replicaSet=rs0"]), "srvMaxHosts can not be specified with replica set"),
        ] {
            let found = find(uri, &[(SERVICE, servers.clone()), (HOST, records)]).await;
            let error = found.unwrap_err();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains(":p@"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_name_without_servers_is_refused() {
        let error = find(URI, &[]).await.unwrap_err();
        assert_eq!(error, format!("No SRV records available for '{SERVICE}'."));
    }
}
