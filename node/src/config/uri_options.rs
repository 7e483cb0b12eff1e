//! The options of a MongoDB connection string, and what becomes of each.
//!
//! Names are those that the Java driver knows (`com.mongodb.ConnectionString`), in lower case, as
//! it compares them. No option is dropped in silence: it is used, taken with a stated reason, or
//! refused by name.

use super::mongo_uri::UriError;
use super::property::nearest;
use super::report::Report;

/// What becomes of an option.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// [`UriOptions`] reads it.
    Read,
    /// It changes nothing here; the text says why.
    Accepted(&'static str),
    /// Only this value, in any case; anything else is refused with the text.
    Only(&'static str, &'static str),
    /// Refused with the text.
    NotYet(&'static str),
}

const ONE_CONNECTION: &str = "the node has no connection pool";
const NO_WRITES: &str = "the source connector does not write to MongoDB";
const DIRECT: &str =
    "the primary is always looked for; direct connections come with a later version";
const PRIMARY: &str =
    "change streams are read from the primary; other read preferences come with a later version";

const OPTIONS: &[(&str, Fate)] = &[
    ("appname", Fate::Read),
    ("authmechanism", Fate::Read),
    ("authmechanismproperties", Fate::NotYet("SCRAM and MONGODB-X509 have no properties")),
    ("authsource", Fate::Read),
    ("compressors", Fate::Accepted("wire compression is not offered to the server")),
    ("connecttimeoutms", Fate::Accepted("an attempt to connect has the node's own limit")),
    ("directconnection", Fate::Only("false", DIRECT)),
    ("gssapiservicename", Fate::NotYet("Kerberos comes with a later version; use SCRAM-SHA-256")),
    ("heartbeatfrequencyms", Fate::Accepted("the node watches the stream itself, not the server")),
    ("journal", Fate::Accepted(NO_WRITES)),
    ("loadbalanced", Fate::Only("false", "load balancers come with a later version")),
    ("localthresholdms", Fate::Accepted("there is one primary to choose from")),
    ("maxconnecting", Fate::Accepted(ONE_CONNECTION)),
    ("maxidletimems", Fate::Accepted(ONE_CONNECTION)),
    ("maxlifetimems", Fate::Accepted(ONE_CONNECTION)),
    ("maxpoolsize", Fate::Accepted(ONE_CONNECTION)),
    ("maxstalenessseconds", Fate::NotYet(PRIMARY)),
    ("minpoolsize", Fate::Accepted(ONE_CONNECTION)),
    ("proxyhost", Fate::NotYet("proxies come with a later version")),
    ("proxypassword", Fate::NotYet("proxies come with a later version")),
    ("proxyport", Fate::NotYet("proxies come with a later version")),
    ("proxyusername", Fate::NotYet("proxies come with a later version")),
    ("readconcernlevel", Fate::Only("majority", "change streams read with majority")),
    ("readpreference", Fate::Only("primary", PRIMARY)),
    ("readpreferencetags", Fate::NotYet(PRIMARY)),
    ("replicaset", Fate::Read),
    ("retryreads", Fate::Accepted("reads are always tried again from where they stopped")),
    ("retrywrites", Fate::Accepted(NO_WRITES)),
    ("safe", Fate::Accepted(NO_WRITES)),
    ("servermonitoringmode", Fate::Accepted("the node watches the stream itself, not the server")),
    ("serverselectiontimeoutms", Fate::Read),
    ("sockettimeoutms", Fate::Accepted("the node notices a silent server by itself")),
    ("srvmaxhosts", Fate::Read),
    ("srvservicename", Fate::Read),
    ("ssl", Fate::Read),
    ("sslinvalidhostnameallowed", Fate::Read),
    ("timeoutms", Fate::NotYet("remove the option; a stream is read until it is stopped")),
    ("tls", Fate::Read),
    ("tlsallowinvalidhostnames", Fate::Read),
    ("tlsinsecure", Fate::Read),
    ("uuidrepresentation", Fate::Accepted("documents are passed on as they are")),
    ("w", Fate::Accepted(NO_WRITES)),
    ("waitqueuetimeoutms", Fate::Accepted(ONE_CONNECTION)),
    ("wtimeoutms", Fate::Accepted(NO_WRITES)),
    ("zlibcompressionlevel", Fate::Accepted("wire compression is not offered to the server")),
];

/// The options that are used, as text. Of a doubled option the last counts, as in Java.
#[derive(Debug, Default)]
pub(super) struct UriOptions {
    pub(super) app_name: Option<String>,
    pub(super) auth_mechanism: Option<String>,
    pub(super) auth_source: Option<String>,
    pub(super) replica_set: Option<String>,
    pub(super) server_selection_timeout_ms: Option<String>,
    pub(super) srv_max_hosts: Option<String>,
    pub(super) srv_service_name: Option<String>,
    /// `ssl` and `tls`, in the order of the string.
    pub(super) tls: Vec<String>,
    /// `sslInvalidHostNameAllowed` and `tlsAllowInvalidHostnames`.
    pub(super) any_host_name: Option<String>,
    pub(super) tls_insecure: Option<String>,
}

impl UriOptions {
    /// Reads `name=value` pairs that are separated by `&` or `;`.
    pub(super) fn parse(text: &str, report: &mut Report) -> Result<Self, UriError> {
        let mut options = Self::default();
        for option in read_options(text) {
            let (name, value) = option?;
            options.take(name, value, report)?;
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: String, report: &mut Report) -> Result<(), UriError> {
        let key = name.to_ascii_lowercase();
        let Some((_, fate)) = OPTIONS.iter().find(|(known, _)| *known == key) else {
            let suggestion = nearest(&key, OPTIONS.iter().map(|(known, _)| *known));
            report.unknown(&format!("connection.uri: {name}"), suggestion.map(str::to_owned));
            return Ok(());
        };
        match fate {
            Fate::Read => self.set(&key, value),
            Fate::Accepted(why) => report.info(format!("connection.uri: option {name}: {why}")),
            Fate::Only(taken, why) => {
                if !value.eq_ignore_ascii_case(taken) {
                    return Err(UriError::OptionNotYet { name: name.to_owned(), why });
                }
            }
            Fate::NotYet(why) => {
                return Err(UriError::OptionNotYet { name: name.to_owned(), why });
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String) {
        // Java ignores an option with an empty value, except authSource, which it refuses.
        let place = match key {
            "appname" => &mut self.app_name,
            "authmechanism" => &mut self.auth_mechanism,
            "authsource" => {
                self.auth_source = Some(value);
                return;
            }
            "replicaset" => &mut self.replica_set,
            "srvmaxhosts" => &mut self.srv_max_hosts,
            "srvservicename" => &mut self.srv_service_name,
            "ssl" | "tls" => {
                self.tls.push(value);
                return;
            }
            "sslinvalidhostnameallowed" | "tlsallowinvalidhostnames" => &mut self.any_host_name,
            "tlsinsecure" => &mut self.tls_insecure,
            _ => &mut self.server_selection_timeout_ms,
        };
        if !value.is_empty() {
            *place = Some(value);
        }
    }
}

/// The options in `text`: `name=value` pairs, separated by `&` or `;`. Names are as written, values decoded.
pub(crate) fn read_options(text: &str) -> impl Iterator<Item = Result<(&str, String), UriError>> {
    pairs(text).map(|pair| {
        let without_value = || UriError::OptionWithoutValue(pair.to_owned());
        let (name, value) = pair.split_once('=').ok_or_else(without_value)?;
        Ok((name, percent_decode(value)?))
    })
}

/// Whether `text` holds an at-sign where no option does: outside of the value of a known one.
pub(super) fn has_stray_at_sign(text: &str) -> bool {
    pairs(text).filter(|pair| pair.contains('@')).any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        OPTIONS.iter().all(|(known, _)| !known.eq_ignore_ascii_case(name))
    })
}

fn pairs(text: &str) -> impl Iterator<Item = &str> {
    text.split(['&', ';']).filter(|pair| !pair.is_empty())
}

/// Resolves `%XX`. A plus sign stays a plus sign.
pub(super) fn percent_decode(text: &str) -> Result<String, UriError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit(), digit());
        match high.zip(low).and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            Some(byte) => bytes.push(byte),
            None => return Err(UriError::PercentEncoding),
        }
    }
    String::from_utf8(bytes).map_err(|_| UriError::PercentEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_sorted_and_lower_case() {
        assert!(OPTIONS.is_sorted_by_key(|(name, _)| *name));
        assert!(OPTIONS.iter().all(|(name, _)| *name == name.to_ascii_lowercase()));
    }

    #[test]
    fn option_that_is_read_has_its_own_place() {
        let read = OPTIONS.iter().filter(|(_, fate)| matches!(fate, Fate::Read));
        let text: Vec<String> = read.map(|(name, _)| format!("{name}={name}-value")).collect();
        let options =
            UriOptions::parse(&text.join("&"), &mut Report::new(true, Vec::new())).unwrap();
        assert_eq!(options.app_name.as_deref(), Some("appname-value"));
        assert_eq!(options.auth_mechanism.as_deref(), Some("authmechanism-value"));
        assert_eq!(options.auth_source.as_deref(), Some("authsource-value"));
        assert_eq!(options.replica_set.as_deref(), Some("replicaset-value"));
        assert_eq!(
            options.server_selection_timeout_ms.as_deref(),
            Some("serverselectiontimeoutms-value")
        );
        assert_eq!(options.srv_max_hosts.as_deref(), Some("srvmaxhosts-value"));
        assert_eq!(options.srv_service_name.as_deref(), Some("srvservicename-value"));
        assert_eq!(options.tls, ["ssl-value", "tls-value"]);
        assert_eq!(options.any_host_name.as_deref(), Some("tlsallowinvalidhostnames-value"));
        assert_eq!(options.tls_insecure.as_deref(), Some("tlsinsecure-value"));
        assert_eq!(text.len(), 12);
    }

    #[test]
    fn an_at_sign_belongs_into_the_value_of_an_option_that_is_known() {
        for fine in ["", "w=1", "appName=a@b", "w=1;APPNAME=@&tls=true", "repicaSet=a%40b"] {
            assert!(!has_stray_at_sign(fine), "{fine}");
        }
        for stray in ["secret@h/db", "w=1&x@h/db?w=1", "secret=x@h/", "w@h=1"] {
            assert!(has_stray_at_sign(stray), "{stray}");
        }
    }

    #[test]
    fn percent_encoding_is_resolved_and_plus_is_kept() {
        assert_eq!(percent_decode("a%40%2Fb+c%C3%A9").as_deref(), Ok("a@/b+cé"));
        for bad in ["%", "%4", "%zz", "%ff", "%+4"] {
            assert_eq!(percent_decode(bad), Err(UriError::PercentEncoding), "{bad}");
        }
    }
}
