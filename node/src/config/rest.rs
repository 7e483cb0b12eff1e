//! Where and how the REST interface listens, from the worker's file.
//!
//! ```text
//! listeners=http://:8083,http://[::1]:8084        a host that is left out: every interface
//! listeners=                                      no REST interface; Connect refuses this
//! admin.listeners                                 not there: beside the rest; empty: nowhere
//! ```
//!
//! Port 0 takes a free one. What would be less safe than the file says is refused by name: `https`, extensions.

use std::fmt;

use super::error::{Reason, Shown};
use super::property::Values;
use super::report::Report;

const LISTENERS: &str = "listeners";
const ADMIN: &str = "admin.listeners";
const HTTPS: &str = "HTTPS comes with a later version; listen on http://127.0.0.1 and let a proxy in \
                     front of it encrypt";

/// The REST interface of a worker, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RestConfig {
    /// Where it listens; empty: it does not.
    pub(crate) listeners: Vec<Listener>,
    /// Where `/admin` is.
    pub(crate) admin: Admin,
    /// What the worker calls itself instead of the first listener's host.
    pub(crate) advertised_host: Option<String>,
    /// What the worker calls itself instead of the first listener's port.
    pub(crate) advertised_port: Option<u16>,
    /// Whether a connector's topics may be asked for.
    pub(crate) topic_tracking: bool,
    /// Whether they may be forgotten.
    pub(crate) topic_tracking_reset: bool,
    /// Which web pages of elsewhere may use the interface.
    pub(crate) cross_origin: Option<CrossOrigin>,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// A name or an address without brackets; empty: every interface.
    pub(crate) host: String,
    /// 0: a free one.
    pub(crate) port: u16,
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
    /// Reads what the table has checked. `admin_is_given`: the file has the property, if only an empty one.
    pub(super) fn new(values: &Values, admin_is_given: bool, report: &mut Report) -> Self {
        let listeners = listeners(LISTENERS, values.list(LISTENERS), report);
        let admin = match listeners_of_admin(values, admin_is_given, report) {
            None => Admin::Shared,
            Some(own) if own.is_empty() => Admin::Off,
            Some(own) => Admin::Own(own),
        };
        let text = |name| Some(values.text(name).to_owned()).filter(|text| !text.is_empty());
        let port = values.integer("rest.advertised.port");
        Self {
            listeners,
            admin,
            advertised_host: text("rest.advertised.host.name"),
            advertised_port: port.and_then(|port| u16::try_from(port).ok()),
            topic_tracking: values.boolean("topic.tracking.enable"),
            topic_tracking_reset: values.boolean("topic.tracking.allow.reset"),
            cross_origin: CrossOrigin::new(values),
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

fn listeners_of_admin(
    values: &Values,
    is_given: bool,
    report: &mut Report,
) -> Option<Vec<Listener>> {
    is_given.then(|| listeners(ADMIN, values.list(ADMIN), report))
}

fn listeners(name: &str, texts: &[String], report: &mut Report) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for text in texts {
        match Listener::parse(text) {
            Ok(listener) => listeners.push(listener),
            Err(reason) => report.refuse(name, Shown::Text(text.clone()), reason),
        }
    }
    listeners
}

impl Listener {
    /// Reads `protocol://host:port`, by the rules of Connect's `RestServer`.
    fn parse(text: &str) -> Result<Self, Reason> {
        let no_listener = || Reason::NotAListener;
        let (protocol, place) = text.split_once("://").ok_or_else(no_listener)?;
        let (host, port) = place.rsplit_once(':').ok_or_else(no_listener)?;
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let is_host = |char: char| char.is_ascii_alphanumeric() || "-%._:".contains(char);
        let port = port.parse().map_err(|_| no_listener())?;
        match protocol.to_ascii_lowercase().as_str() {
            "http" if host.chars().all(is_host) => Ok(Self { host: host.to_owned(), port }),
            "http" => Err(no_listener()),
            "https" => Err(Reason::NotYet(HTTPS)),
            _ => Err(Reason::ListenerProtocol),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{}:{}", self.host, self.port)
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
            let listener = Listener { host: host.to_owned(), port };
            assert_eq!(Listener::parse(text), Ok(listener), "{text}");
        }
        assert_eq!(Listener::parse("http://[::1]:8084").unwrap().to_string(), "http://[::1]:8084");
    }

    #[test]
    fn text_that_is_no_listener_is_refused() {
        for text in
            ["", ":8083", "http://", "http://h", "http://h:", "http://h:70000", "http://a b:1"]
        {
            assert_eq!(Listener::parse(text), Err(Reason::NotAListener), "{text}");
        }
        assert_eq!(Listener::parse("ftp://h:1"), Err(Reason::ListenerProtocol));
        assert_eq!(Listener::parse("https://h:1"), Err(Reason::NotYet(HTTPS)));
    }
}
