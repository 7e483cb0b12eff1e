//! The REST interface of a Connect worker.
//!
//! ```text
//! GET  /  /health  /metrics  /ui/…
//! GET  /connectors[?expand=status&expand=info]          POST /connectors
//! GET  /connectors/{c}   /config  /status  /tasks  /tasks/{t}/status  /topics  /offsets
//! PUT, PATCH /connectors/{c}/config        DELETE /connectors/{c}        PATCH, DELETE …/offsets
//! PUT  /connectors/{c}/pause  /resume  /stop  /topics/reset
//! POST /connectors/{c}/restart[?includeTasks=&onlyFailed=]   /connectors/{c}/tasks/{t}/restart
//! GET  /connector-plugins   GET …/{p}/config   PUT …/{p}/config/validate
//! GET  /admin/loggers  /admin/loggers/{l}               PUT /admin/loggers/{l}
//! ```
//!
//! Paths, status codes, bodies and texts are those of Kafka Connect 4.1; `node/tests/oracle/rest.rs` holds them against
//! a real worker. `/metrics` is ours, and text; so is the status page,
//! [`crate::page`]. Anything that changes something goes on when the client has left.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::MethodRouter;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Admin, Listener, RestConfig};
use crate::herder::Herder;
use crate::logging::Loggers;

mod body;
mod connector_offsets;
mod connector_plugins;
mod connectors;
mod cross_origin;
mod error;
mod lifecycle;
mod loggers;
mod metrics;
mod query;
mod root;

pub(crate) use error::RestError;

/// The largest body that is taken; a connector's properties have a few thousand bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How long a request may take, as in Connect. What it began goes on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// How long requests that are under way may take once the worker is to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What every request is answered from.
#[derive(Clone)]
pub(crate) struct Shared {
    herder: Arc<Herder>,
    loggers: Arc<Loggers>,
}

/// What a handler gives back.
type Answer = Result<Response, RestError>;

/// The sockets of a REST interface, before it serves.
pub(crate) struct Sockets {
    listeners: Vec<TcpListener>,
    admin: Vec<TcpListener>,
    address: SocketAddr,
}

impl Sockets {
    /// Binds every address. `None`: the worker has no REST interface.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub(crate) async fn bind(config: &RestConfig) -> anyhow::Result<Option<Self>> {
        let listeners = bind_all(&config.listeners, "listeners").await?;
        let Some(first) = listeners.first() else { return Ok(None) };
        let address = first.local_addr()?;
        let admin = match &config.admin {
            Admin::Shared | Admin::Off => Vec::new(),
            Admin::Own(own) => bind_all(own, "admin.listeners").await?,
        };
        Ok(Some(Self { listeners, admin, address }))
    }

    /// What the worker calls itself: `host:port`, of the first listener unless the file says otherwise.
    pub(crate) fn worker_id(&self, config: &RestConfig) -> String {
        let of_listener = config.listeners.first().map(|listener| listener.host.clone());
        let host = config.advertised_host.clone().or(of_listener).filter(|host| !host.is_empty());
        let host = host.unwrap_or_else(own_host);
        let port = config.advertised_port.unwrap_or(self.address.port());
        format!("{host}:{port}")
    }

    /// Serves until `stop` says so; what is under way then has a few seconds left.
    pub(crate) async fn serve(
        self,
        config: &RestConfig,
        herder: Arc<Herder>,
        loggers: Arc<Loggers>,
        stop: watch::Receiver<bool>,
    ) {
        let shared = Shared { herder, loggers };
        let mut app = worker_routes();
        if config.admin == Admin::Shared {
            app = app.merge(loggers::routes());
        }
        let text = metrics::routes().merge(root::page_routes());
        let app = finish(app, text, config).with_state(shared.clone());
        let admin = finish(loggers::routes(), Router::new(), config).with_state(shared);
        let mut servers = JoinSet::new();
        for listener in self.listeners {
            servers.spawn(serve_one(listener, app.clone(), stop.clone()));
        }
        for listener in self.admin {
            servers.spawn(serve_one(listener, admin.clone(), stop.clone()));
        }
        while servers.join_next().await.is_some() {}
    }
}

async fn bind_all(addresses: &[Listener], property: &str) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let bound = bind(address).await.with_context(|| {
            format!(
                "cannot listen on {address}; {property} in the worker's file names another address, an empty \
                 listeners= goes without the REST interface"
            )
        })?;
        tracing::info!("REST interface on http://{}", bound.local_addr()?);
        listeners.push(bound);
    }
    Ok(listeners)
}

async fn bind(Listener { host, port }: &Listener) -> io::Result<TcpListener> {
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

/// The name of this machine, for a listener on every interface.
fn own_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

fn worker_routes() -> Router<Shared> {
    root::routes()
        .merge(connectors::routes())
        .merge(lifecycle::routes())
        .merge(connector_offsets::routes())
        .merge(connector_plugins::routes())
}

/// What all resources share: limits, errors in JSON, who may call. Those of `text` take and give whatever they like.
fn finish(json: Router<Shared>, text: Router<Shared>, config: &RestConfig) -> Router<Shared> {
    let routes = json
        .route_layer(from_fn(body::check_types))
        .merge(text)
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let allowed = config.cross_origin.clone();
    let routes = routes
        .layer(from_fn(move |request, next| cross_origin::guard(allowed.clone(), request, next)));
    match config.cross_origin.clone() {
        None => routes,
        Some(allowed) => routes.layer(from_fn(move |request, next| {
            cross_origin::answer(allowed.clone(), request, next)
        })),
    }
}

async fn serve_one(listener: TcpListener, app: Router, stop: watch::Receiver<bool>) {
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

/// Resources by their path, each with and without a slash at its end: to Connect they are one.
fn resources<const N: usize>(resources: [(&str, MethodRouter<Shared>); N]) -> Router<Shared> {
    resources.into_iter().fold(Router::new(), |routes, (path, methods)| {
        routes.route(path, methods.clone()).route(&format!("{path}/"), methods)
    })
}
