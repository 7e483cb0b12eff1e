//! Where and how the REST interface listens, from the worker's file.
//!
//! ```text
//! listeners=http://:8083,https://[::1]:8443       a host that is left out: every interface
//! listeners=                                      no REST interface; Connect refuses this
//! admin.listeners                                 not there: beside the rest; empty: nowhere
//! ```
//!
//! Port 0 takes a free one. How `https` is spoken is in [`super::rest_tls`], who may ask in [`super::basic_auth`].

use std::collections::BTreeMap;
use std::fmt;

use millrace_io::tls::TlsClient;
use millrace_io::tls::server::TlsServer;

use super::basic_auth::BasicUsers;
use super::error::{Reason, Shown};
use super::property::Values;
use super::report::Report;
use super::response_headers::{self, HeaderRule};
use super::rest_tls::{ADMIN_PREFIX, LISTENERS_PREFIX, RestTls};

const LISTENERS: &str = "listeners";
const ADMIN: &str = "admin.listeners";
const HEADERS: &str = "response.http.headers.config";
const NO_HTTPS: &str = "there is no https listener that could use it";

/// The REST interface of a worker, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RestConfig {
    /// Where it listens; empty: it does not.
    pub(crate) listeners: Vec<Listener>,
    /// Where `/admin` is.
    pub(crate) admin: Admin,
    /// How other workers are to reach this one: over the first listener of that protocol.
    pub(crate) advertised_protocol: Protocol,
    /// What the worker calls itself instead of that listener's host.
    pub(crate) advertised_host: Option<String>,
    /// What the worker calls itself instead of that listener's port.
    pub(crate) advertised_port: Option<u16>,
    /// Whether a connector's topics may be asked for.
    pub(crate) topic_tracking: bool,
    /// Whether they may be forgotten.
    pub(crate) topic_tracking_reset: bool,
    /// Which web pages of elsewhere may use the interface.
    pub(crate) cross_origin: Option<CrossOrigin>,
    /// What every answer carries.
    pub(crate) response_headers: Vec<HeaderRule>,
    /// Who may use the interface; `None`: everybody. As in Connect this is not about `/admin` at addresses of its own.
    pub(crate) users: Option<BasicUsers>,
    /// How other workers are asked over https; `None`: this one has nothing to do with https, and trusts whom the
    /// system trusts.
    pub(crate) client_tls: Option<TlsClient>,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// A name or an address without brackets; empty: every interface.
    pub(crate) host: String,
    /// 0: a free one.
    pub(crate) port: u16,
    /// What accepts connections there; `None`: they are in the clear.
    pub(crate) tls: Option<TlsServer>,
}

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Http,
    Https,
}

/// Where the resources of `/admin` are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Admin {
    /// Beside the others.
    #[default]
    Shared,
    /// Nowhere.
    Off,
    /// There, and nothing else is there.
    Own(Vec<Listener>),
}

/// `access.control.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CrossOrigin {
    /// Origins, or `*`.
    pub(crate) origins: Vec<String>,
    /// Methods a page of elsewhere may use.
    pub(crate) methods: Vec<String>,
}

/// Methods that are allowed where the file names none, as in Jetty's filter.
const METHODS: [&str; 3] = ["GET", "POST", "HEAD"];

impl RestConfig {
    /// Reads what the table has checked.
    pub(super) fn new(
        given: &BTreeMap<String, String>,
        values: &Values,
        report: &mut Report,
    ) -> Self {
        let addresses = addresses(LISTENERS, values, report);
        let advertised_protocol = advertised_protocol(values, &addresses);
        let speaks_https = has_https(&addresses) || advertised_protocol == Protocol::Https;
        let tls = rest_tls(speaks_https, LISTENERS_PREFIX, given, values, report);
        let server = tls.as_ref().filter(|_| has_https(&addresses));
        let server = server.map(|tls| tls.server(report)).transpose();
        // It is made of the same stores; a problem with them is told once.
        let client_tls = tls.as_ref().filter(|_| server.is_ok());
        let client_tls = client_tls.and_then(|tls| tls.client(report).ok());
        let text = |name| Some(values.text(name).to_owned()).filter(|text| !text.is_empty());
        let port = values.integer("rest.advertised.port");
        // For Java the options of its virtual machine; the variable is where users of Connect set them.
        let kafka_opts = std::env::var("KAFKA_OPTS").unwrap_or_default();
        Self {
            listeners: listeners(addresses, server.ok().flatten().as_ref()),
            admin: admin(given, values, report),
            advertised_protocol,
            advertised_host: text("rest.advertised.host.name"),
            advertised_port: port.and_then(|port| u16::try_from(port).ok()),
            topic_tracking: values.boolean("topic.tracking.enable"),
            topic_tracking_reset: values.boolean("topic.tracking.allow.reset"),
            cross_origin: CrossOrigin::new(values),
            response_headers: response_headers(values, report),
            users: BasicUsers::new(values, &kafka_opts, report),
            client_tls,
        }
    }
}

impl CrossOrigin {
    fn new(values: &Values) -> Option<Self> {
        let items = |name| -> Vec<String> {
            let items = values.text(name).split(',').map(str::trim);
            items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        let (origins, mut methods) =
            (items("access.control.allow.origin"), items("access.control.allow.methods"));
        if methods.is_empty() {
            methods = METHODS.map(str::to_owned).to_vec();
        }
        (!origins.is_empty()).then_some(Self { origins, methods })
    }
}

fn admin(given: &BTreeMap<String, String>, values: &Values, report: &mut Report) -> Admin {
    if !given.contains_key(ADMIN) {
        return Admin::Shared;
    }
    let addresses = addresses(ADMIN, values, report);
    if addresses.is_empty() {
        return Admin::Off;
    }
    let tls = rest_tls(has_https(&addresses), ADMIN_PREFIX, given, values, report);
    let server = tls.and_then(|tls| tls.server(report).ok());
    Admin::Own(listeners(addresses, server.as_ref()))
}

/// What stands in a property; listeners have no TLS yet.
fn addresses(name: &str, values: &Values, report: &mut Report) -> Vec<(Protocol, Listener)> {
    let mut addresses = Vec::new();
    for text in values.list(name) {
        match Listener::parse(text) {
            Ok(address) => addresses.push(address),
            Err(reason) => report.refuse(name, Shown::Text(text.clone()), reason),
        }
    }
    addresses
}

fn has_https(addresses: &[(Protocol, Listener)]) -> bool {
    addresses.iter().any(|(protocol, _)| *protocol == Protocol::Https)
}

/// The settings with the prefix, if https is spoken; `None` as well where a problem was reported.
fn rest_tls<'a>(
    is_spoken: bool,
    prefix: &'static str,
    given: &BTreeMap<String, String>,
    values: &'a Values,
    report: &mut Report,
) -> Option<RestTls<'a>> {
    if is_spoken {
        return RestTls::read(given, values, prefix, report).ok();
    }
    for unused in given.keys().filter(|name| name.starts_with(prefix)) {
        report.info(format!("{unused}: {NO_HTTPS}"));
    }
    None
}

fn listeners(addresses: Vec<(Protocol, Listener)>, server: Option<&TlsServer>) -> Vec<Listener> {
    let with_tls = |(protocol, listener): (Protocol, Listener)| match protocol {
        Protocol::Http => Some(listener),
        // Without a server a problem was reported.
        Protocol::Https => server.map(|server| Listener { tls: Some(server.clone()), ..listener }),
    };
    addresses.into_iter().filter_map(with_tls).collect()
}

/// As the file says; else http, unless only https is listened to.
fn advertised_protocol(values: &Values, addresses: &[(Protocol, Listener)]) -> Protocol {
    match values.text("rest.advertised.listener").to_ascii_lowercase().as_str() {
        "https" => Protocol::Https,
        "http" => Protocol::Http,
        _ if addresses.iter().any(|(protocol, _)| *protocol == Protocol::Http) => Protocol::Http,
        _ if has_https(addresses) => Protocol::Https,
        _ => Protocol::Http,
    }
}

fn response_headers(values: &Values, report: &mut Report) -> Vec<HeaderRule> {
    let text = values.text(HEADERS);
    response_headers::parse(text).unwrap_or_else(|error| {
        report.refuse(HEADERS, Shown::Text(text.to_owned()), Reason::HeaderRule(error));
        Vec::new()
    })
}

impl Listener {
    /// Reads `protocol://host:port`, by the rules of Connect's `RestServer`; without its TLS.
    fn parse(text: &str) -> Result<(Protocol, Self), Reason> {
        let no_listener = || Reason::NotAListener;
        let (protocol, place) = text.split_once("://").ok_or_else(no_listener)?;
        let (host, port) = place.rsplit_once(':').ok_or_else(no_listener)?;
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let is_host = |char: char| char.is_ascii_alphanumeric() || "-%._:".contains(char);
        let port = port.parse().map_err(|_| no_listener())?;
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "http" => Protocol::Http,
            "https" => Protocol::Https,
            _ => return Err(Reason::ListenerProtocol),
        };
        if !host.chars().all(is_host) {
            return Err(no_listener());
        }
        Ok((protocol, Self { host: host.to_owned(), port, tls: None }))
    }

    /// What is spoken there.
    pub(crate) fn protocol(&self) -> Protocol {
        if self.tls.is_some() { Protocol::Https } else { Protocol::Http }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol();
        if self.host.contains(':') {
            write!(f, "{protocol}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{protocol}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_is_a_protocol_a_host_and_a_port() {
        for (text, host, port) in [
            ("http://:8083", "", 8083),
            ("HTTP://Host-1.x:0", "Host-1.x", 0),
            ("http://127.0.0.1:65535", "127.0.0.1", 65535),
            ("http://[::1]:8084", "::1", 8084),
        ] {
            let listener = Listener { host: host.to_owned(), port, tls: None };
            assert_eq!(Listener::parse(text), Ok((Protocol::Http, listener)), "{text}");
            let (protocol, _) =
                Listener::parse(&text.to_lowercase().replace("http", "HTTPS")).unwrap();
            assert_eq!(protocol, Protocol::Https, "{text}");
        }
        let (_, listener) = Listener::parse("http://[::1]:8084").unwrap();
        assert_eq!(listener.to_string(), "http://[::1]:8084");
    }

    #[test]
    fn text_that_is_no_listener_is_refused() {
        for text in
            ["", ":8083", "http://", "http://h", "http://h:", "http://h:70000", "http://a b:1"]
        {
            assert_eq!(Listener::parse(text), Err(Reason::NotAListener), "{text}");
        }
        assert_eq!(Listener::parse("ftp://h:1"), Err(Reason::ListenerProtocol));
    }
}
