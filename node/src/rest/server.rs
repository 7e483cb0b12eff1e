//! The sockets of the REST interface: where it listens, what it calls itself, until when it serves.
//!
//! ```text
//! bind ──► worker_id, advertised_url ──► run: a loop for each listener ── stop ──► at most 5 s ──► end
//! ```
//!
//! What a worker calls itself goes to other workers: the host is a name only where the file has one, else the address
//! that this machine's name stands for, as in Java.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::serve::Listener as Accepting;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::tls_listener::TlsListener;
use crate::config::{Admin, Listener, RestConfig};

/// How long requests that are under way may take once the worker is to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long looking up this machine's own name may take.
const OWN_ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// The sockets of a REST interface, before it serves.
pub(crate) struct Sockets {
    listeners: Vec<Bound>,
    admin: Vec<Bound>,
    /// The host of a listener on every interface.
    own_host: String,
}

/// A socket that is listened to.
struct Bound {
    listener: Listener,
    tcp: TcpListener,
    address: SocketAddr,
}

impl Sockets {
    /// Binds every address. `None`: the worker has no REST interface.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub(crate) async fn bind(config: &RestConfig) -> anyhow::Result<Option<Self>> {
        let listeners = bind_all(&config.listeners, "listeners", config.users.is_some()).await?;
        if listeners.is_empty() {
            return Ok(None);
        }
        let admin = match &config.admin {
            Admin::Shared | Admin::Off => Vec::new(),
            Admin::Own(own) => bind_all(own, "admin.listeners", false).await?,
        };
        let sockets = Self { listeners, admin, own_host: own_host().await };
        tracing::info!("REST interface advertised as {}", sockets.advertised_url(config));
        Ok(Some(sockets))
    }

    /// What the worker calls itself: `host:port` of its URL.
    pub(crate) fn worker_id(&self, config: &RestConfig) -> String {
        let advertised = self.advertised(config);
        let host = advertised.map_or(self.own_host.as_str(), |bound| bound.listener.host.as_str());
        let of_first = self.listeners.first().map(|bound| bound.listener.host.as_str());
        let candidates = [config.advertised_host.as_deref(), Some(host), of_first];
        let named = candidates.into_iter().flatten().find(|host| !host.is_empty());
        let host = named.unwrap_or(&self.own_host);
        let port = advertised.or(self.listeners.first()).map_or(0, |bound| bound.address.port());
        let port = config.advertised_port.unwrap_or(port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Where other workers reach this one.
    pub(crate) fn advertised_url(&self, config: &RestConfig) -> String {
        format!("{}://{}/", config.advertised_protocol, self.worker_id(config))
    }

    /// Warns where other machines cannot take this worker at its word.
    pub(crate) fn warn_of_unreachable(&self, config: &RestConfig) {
        let id = self.worker_id(config);
        if let Some(trouble) = trouble_with(&id) {
            tracing::warn!(
                "{id} is what other workers are told to reach this one at, and {trouble}; name one that they reach \
                 in rest.advertised.host.name"
            );
        }
    }

    /// The first listener of the protocol that is advertised.
    fn advertised(&self, config: &RestConfig) -> Option<&Bound> {
        let protocol = config.advertised_protocol;
        self.listeners.iter().find(|bound| bound.listener.protocol() == protocol)
    }

    /// Serves `app` at the listeners and `admin` at those of its own, until `stop` says so.
    pub(super) async fn run(self, app: Router, admin: Router, stop: watch::Receiver<bool>) {
        let mut servers = JoinSet::new();
        let listeners = self.listeners.into_iter().map(|bound| (bound, app.clone()));
        let admin = self.admin.into_iter().map(|bound| (bound, admin.clone()));
        for (Bound { listener, tcp, .. }, routes) in listeners.chain(admin) {
            match listener.tls {
                None => servers.spawn(serve_one(tcp, routes, stop.clone())),
                Some(tls) => {
                    servers.spawn(serve_one(TlsListener::new(tcp, &tls), routes, stop.clone()))
                }
            };
        }
        while servers.join_next().await.is_some() {}
    }
}

/// Why a worker on another machine cannot reach this `host:port`, if that can be told.
fn trouble_with(id: &str) -> Option<&'static str> {
    let host = id.rsplit_once(':').map_or(id, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Some("that is the address of no machine"),
        Ok(address) if address.is_loopback() => Some("that means this machine on every machine"),
        Err(_) if host.eq_ignore_ascii_case("localhost") => {
            Some("that means this machine on every machine")
        }
        Ok(_) | Err(_) => None,
    }
}

async fn bind_all(
    listeners: &[Listener],
    property: &str,
    asks_users: bool,
) -> anyhow::Result<Vec<Bound>> {
    let mut all = Vec::new();
    for listener in listeners {
        let tcp = bind(listener).await.with_context(|| {
            format!(
                "cannot listen on {listener}; {property} in the worker's file names another address, an empty \
                 listeners= goes without the REST interface"
            )
        })?;
        let address = tcp.local_addr()?;
        tracing::info!("REST interface on {}://{address}", listener.protocol());
        if !asks_users && listener.tls.is_none() && !address.ip().is_loopback() {
            // Users are asked for at `listeners` alone.
            let or = if property == "listeners" {
                "see https:// and rest.extension.classes"
            } else {
                "https:// with a client's certificate asked for"
            };
            tracing::warn!(
                "whoever reaches http://{address} may change everything there, and may read what passes; name \
                 127.0.0.1 in {property}, or {or}"
            );
        }
        all.push(Bound { listener: listener.clone(), tcp, address });
    }
    Ok(all)
}

async fn bind(Listener { host, port, .. }: &Listener) -> io::Result<TcpListener> {
    if !host.is_empty() {
        return TcpListener::bind((host.as_str(), *port)).await;
    }
    // An IPv6 socket takes IPv4 as well, where there is IPv6.
    match TcpListener::bind(("::", *port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", *port)).await
        }
        bound => bound,
    }
}

/// The address that this machine's name stands for, which other machines need not know; else the name.
async fn own_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = match name.trim() {
        "" => "localhost",
        name => name,
    };
    let lookup = tokio::time::timeout(OWN_ADDRESS_TIMEOUT, tokio::net::lookup_host((name, 0)));
    let found: Vec<IpAddr> = match lookup.await {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
    best.map_or_else(|| name.to_owned(), IpAddr::to_string)
}

async fn serve_one<L>(listener: L, app: Router, stop: watch::Receiver<bool>)
where
    L: Accepting,
    L::Addr: std::fmt::Debug,
{
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        // A sender that is gone means the same.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let overdue = stopped(stop.clone());
    let serving = axum::serve(listener, app).with_graceful_shutdown(stopped(stop));
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::error!("the REST interface has ended: {error}");
            }
        }
        () = async { overdue.await; tokio::time::sleep(STOP_TIMEOUT).await } => {
            tracing::warn!("requests were under way when the worker stopped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_other_machines_cannot_use_is_in_trouble() {
        for id in ["0.0.0.0:8083", "[::]:8083"] {
            assert_eq!(trouble_with(id), Some("that is the address of no machine"), "{id}");
        }
        for id in ["127.0.0.1:8083", "127.0.1.1:8083", "[::1]:8083", "Localhost:8083"] {
            let trouble = trouble_with(id);
            assert_eq!(trouble, Some("that means this machine on every machine"), "{id}");
        }
        for id in ["10.0.0.7:8083", "[fd00::7]:8083", "worker-1:8083"] {
            assert_eq!(trouble_with(id), None, "{id}");
        }
    }
}
