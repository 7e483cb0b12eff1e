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
//! POST /connectors/{c}/tasks  PUT /connectors/{c}/fence     between workers of a group, signed
//! GET  /admin/loggers  /admin/loggers/{l}               PUT /admin/loggers/{l}
//! ```
//!
//! Paths, status codes, bodies and texts are those of Kafka Connect 4.1; `node/tests/oracle/rest.rs` holds them against
//! a real worker. `/metrics` is ours, and text; so is the status page, [`crate::page`]. Anything that changes something
//! goes on when the client has left.
//!
//! ```text
//! server ─► tls_listener ─► response_headers ─► cross_origin ─► basic_auth ─► the resource
//!           where https      on every answer                    401
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::MethodRouter;
use tokio::sync::watch;

use crate::config::{Admin, HeaderRule, RestConfig};
use crate::distributed::Distributed;
use crate::herder::Herder;
use crate::logging::Loggers;

mod basic_auth;
mod between_workers;
mod body;
mod connector_offsets;
mod connector_plugins;
mod connectors;
mod cross_origin;
mod error;
mod forwarding;
mod lifecycle;
mod loggers;
mod metrics;
mod query;
mod response_headers;
mod root;
mod server;
mod starting;
mod tls_listener;

pub(crate) use connectors::path_segment;
pub(crate) use error::RestError;
pub(crate) use server::Sockets;

/// The largest body that is taken; a connector's properties have a few thousand bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How long a request may take, as in Connect. What it began goes on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// What every request is answered from.
#[derive(Clone)]
pub(crate) struct Shared {
    herder: Arc<dyn Herder>,
    loggers: Arc<Loggers>,
    /// The same herder, if the worker is in a group.
    group: Option<Arc<Distributed>>,
}

impl Shared {
    /// Answers of a worker alone.
    pub(crate) fn alone(herder: Arc<dyn Herder>, loggers: Arc<Loggers>) -> Self {
        Self { herder, loggers, group: None }
    }

    /// Answers of a worker in a group.
    pub(crate) fn in_group(group: Arc<Distributed>, loggers: Arc<Loggers>) -> Self {
        Self { herder: Arc::<Distributed>::clone(&group), loggers, group: Some(group) }
    }
}

/// What a handler gives back.
type Answer = Result<Response, RestError>;

impl Sockets {
    /// Serves until `stop` says so; what is under way then has a few seconds left.
    pub(crate) async fn serve(
        self,
        config: &RestConfig,
        shared: Shared,
        stop: watch::Receiver<bool>,
    ) {
        let (app, admin) = routers(config, shared);
        self.run(app, admin, stop).await;
    }

    /// The same from now on for resources that come later, which whoever calls what this returns first puts there.
    pub(crate) fn serve_later(
        self,
        config: RestConfig,
        stop: watch::Receiver<bool>,
    ) -> (impl Future<Output = ()>, impl FnOnce(Shared)) {
        let (app, later_app) = watch::channel(None);
        let (admin, later_admin) = watch::channel(None);
        let serving = self.run(starting::gate(later_app), starting::gate(later_admin), stop);
        let open = move |shared| {
            let (opened_app, opened_admin) = routers(&config, shared);
            app.send_replace(Some(opened_app));
            admin.send_replace(Some(opened_admin));
        };
        (serving, open)
    }
}

/// What is answered at the listeners, and at those of its own for `/admin`.
fn routers(config: &RestConfig, shared: Shared) -> (Router, Router) {
    let mut app = worker_routes();
    if shared.group.is_some() {
        app = app.merge(between_workers::routes());
    }
    app = app.route_layer(from_fn_with_state(shared.clone(), forwarding::carry));
    if config.admin == Admin::Shared {
        app = app.merge(loggers::routes());
    }
    let app = secured(finish(app, metrics::routes().merge(root::page_routes())), config);
    let app = marked(across(app, config), config).with_state(shared.clone());
    let admin = finish(loggers::routes(), Router::new());
    let admin = across(admin, config).with_state(shared);
    (app, admin)
}

fn worker_routes() -> Router<Shared> {
    root::routes()
        .merge(connectors::routes())
        .merge(lifecycle::routes())
        .merge(connector_offsets::routes())
        .merge(connector_plugins::routes())
}

/// What all resources share: limits, errors in JSON. Those of `text` take and give whatever they like.
fn finish(json: Router<Shared>, text: Router<Shared>) -> Router<Shared> {
    json.route_layer(from_fn(body::check_types))
        .merge(text)
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Lets in only the users that there are.
fn secured(routes: Router<Shared>, config: &RestConfig) -> Router<Shared> {
    let Some(users) = config.users.clone().map(Arc::new) else { return routes };
    routes.layer(from_fn(move |request, next| basic_auth::check(Arc::clone(&users), request, next)))
}

/// Answers web pages of elsewhere. A browser asks before it logs in.
fn across(routes: Router<Shared>, config: &RestConfig) -> Router<Shared> {
    let allowed = config.cross_origin.clone();
    let routes = routes
        .layer(from_fn(move |request, next| cross_origin::guard(allowed.clone(), request, next)));
    let Some(allowed) = config.cross_origin.clone() else { return routes };
    routes.layer(from_fn(move |request, next| cross_origin::answer(allowed.clone(), request, next)))
}

/// Puts the headers of the worker's file on every answer; as in Connect, not on those of other addresses for `/admin`.
fn marked(routes: Router<Shared>, config: &RestConfig) -> Router<Shared> {
    if config.response_headers.is_empty() {
        return routes;
    }
    let rules: Arc<[HeaderRule]> = config.response_headers.clone().into();
    routes.layer(map_response(move |response| {
        std::future::ready(response_headers::mark(&rules, response))
    }))
}

/// Resources by their path, each with and without a slash at its end: to Connect they are one.
fn resources<const N: usize>(resources: [(&str, MethodRouter<Shared>); N]) -> Router<Shared> {
    resources.into_iter().fold(Router::new(), |routes, (path, methods)| {
        routes.route(path, methods.clone()).route(&format!("{path}/"), methods)
    })
}
