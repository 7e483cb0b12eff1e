//! What a connector will meet at MongoDB, asked in the order in which its task would meet it.
//!
//! ```text
//! servers ─► members ─► version ─► clock ─► oplog ─► privileges ─► images ─► stable API ─► position, change stream
//!     └ none can be used: that is all
//! ```

use futures_util::future::join_all;
use millrace_core::link::Address;
use millrace_core::memory::MemoryBudget;
use millrace_core::mongo::session::{ServerApi, SessionConfig, SessionError};
use millrace_io::clock;
use mongodb::bson::{Document, doc};

use super::deployment::{self, Tried};
use super::finding::{Finding, Subject};
use super::images::{self, Want};
use super::mongo_link::{AskError, MongoLink};
use super::oplog::{self, Oplog};
use super::position::{self, Offsets};
use super::privileges;
use crate::config::{LostPosition, SourceConfig, Startup};
use crate::task::{locate, session_config};

/// Memory for the one reply that opens a stream. Bytes.
const MEMORY_BYTES_MAX: usize = 32 << 20;

/// Looks at the MongoDB of `source`. What is found goes into `subject` at once, so that what is known is kept if the
/// rest takes too long.
pub(super) async fn check(subject: &mut Subject, source: &SourceConfig, offsets: &Offsets<'_>) {
    let located = match locate(&source.mongo).await {
        Ok(located) => located,
        Err(error) => return subject.push(Finding::of_error(deployment::SERVERS, &error)),
    };
    let config = session_config(source, located, MemoryBudget::new(MEMORY_BYTES_MAX));
    // Questions may lie outside of the Stable API; a server may still insist that one is named.
    let loose = |_| ServerApi { strict: false, deprecation_errors: false };
    let asking = SessionConfig { server_api: config.server_api.map(loose), ..config.clone() };
    let Some(mut link) = find_usable(subject, source, &asking).await else { return };
    let oplog = look_at_deployment(subject, source, &asking, &mut link).await;
    look_at_rights(subject, source, &mut link).await;
    look_at_images(subject, source, &mut link).await;
    if source.server_api.is_some() {
        let address = link.address().clone();
        subject.push(judge_api(ping(config.clone(), &address, source).await));
    }
    for finding in position::check(source, config, offsets, oplog).await {
        subject.push(finding);
    }
}

/// A connection to the primary, or to a router; says what there is to say of all servers.
async fn find_usable(
    subject: &mut Subject,
    source: &SourceConfig,
    config: &SessionConfig,
) -> Option<MongoLink> {
    let tried = try_all(&config.seeds, source, config).await;
    let named = tried.iter().find_map(|(_, result)| match result {
        Err(SessionError::NotPrimary { primary, .. }) => primary.clone(),
        Ok(_) | Err(_) => None,
    });
    let hinted = match named {
        Some(primary) if tried.iter().all(|(address, _)| *address != primary) => {
            Some((primary.clone(), open(config, &primary, source).await))
        }
        Some(_) | None => None,
    };
    let all: Vec<_> = tried.into_iter().chain(hinted).collect();
    let said: Vec<Tried<'_>> =
        all.iter().map(|(address, result)| (address, result.as_ref().err())).collect();
    let usable = said.iter().find(|(_, error)| error.is_none()).map(|(address, _)| *address);
    subject.push(deployment::judge_servers(&said, usable));
    all.into_iter().find_map(|(_, result)| result.ok())
}

async fn try_all(
    addresses: &[Address],
    source: &SourceConfig,
    config: &SessionConfig,
) -> Vec<(Address, Result<MongoLink, SessionError>)> {
    let tries = addresses.iter().map(async |address| {
        let opened = open(config, address, source).await;
        (address.clone(), opened)
    });
    join_all(tries).await
}

async fn open(
    config: &SessionConfig,
    address: &Address,
    source: &SourceConfig,
) -> Result<MongoLink, SessionError> {
    MongoLink::open(config.clone(), address, source.mongo_tls.as_ref()).await
}

/// Members, version, clock and oplog. Returns the oplog, if it can be looked at.
async fn look_at_deployment(
    subject: &mut Subject,
    source: &SourceConfig,
    config: &SessionConfig,
    link: &mut MongoLink,
) -> Option<Oplog> {
    let asked_ms = clock::unix_ms();
    let hello = match link.ask(&doc! { "hello": 1, "$db": "admin" }).await {
        Ok(hello) => hello,
        Err(error) => {
            subject.push(Finding::of_error("hello", &error));
            return None;
        }
    };
    let answered_ms = clock::unix_ms();
    let mut others = deployment::members(&hello);
    others.retain(|member| !config.seeds.contains(member) && member != link.address());
    if !others.is_empty() {
        let tried = try_all(&others, source, config).await;
        let said: Vec<Tried<'_>> =
            tried.iter().map(|(address, result)| (address, result.as_ref().err())).collect();
        subject.push(deployment::judge_members(&said));
    }
    let version = link.ask(&doc! { "buildInfo": 1, "$db": "admin" }).await.unwrap_or_default();
    subject.push(deployment::judge_version(&hello, &version, source));
    if let Ok(server) = hello.get_datetime("localTime") {
        let server_ms = server.timestamp_millis();
        subject.push(deployment::judge_clock(server_ms, asked_ms, answered_ms));
    }
    if deployment::is_router(&hello) {
        let because = "a router has no oplog; connect to a shard to see its own";
        subject.push(Finding::not_checked(oplog::CHECK, because));
        return None;
    }
    match ask_oplog(link).await {
        Ok(Some(oplog)) => {
            subject.push(oplog.judge());
            Some(oplog)
        }
        Ok(None) => {
            subject.push(Finding::not_checked(oplog::CHECK, "the oplog has no entry"));
            None
        }
        Err(error) => {
            subject.push(not_answered(
                oplog::CHECK,
                &error,
                "read on database 'local', or clusterMonitor",
            ));
            None
        }
    }
}

async fn ask_oplog(link: &mut MongoLink) -> Result<Option<Oplog>, AskError> {
    let oldest = oplog::read_entry(&link.ask(&oplog::find_entry(false)).await?);
    let newest = oplog::read_entry(&link.ask(&oplog::find_entry(true)).await?);
    let size = link.ask(&oplog::ask_size()).await.ok();
    let filled_percent = size.as_ref().and_then(oplog::read_size);
    Ok(oldest.zip(newest).map(|(oldest, newest)| Oplog { oldest, newest, filled_percent }))
}

async fn look_at_rights(subject: &mut Subject, source: &SourceConfig, link: &mut MongoLink) {
    let copies = matches!(source.startup, Startup::CopyExisting(_))
        || matches!(source.lost_position, LostPosition::Copy(_));
    subject.push(match link.ask(&privileges::command()).await {
        Ok(answer) => privileges::judge(&answer, &source.scope, copies),
        Err(error) => not_answered("privileges", &error, "connectionStatus"),
    });
}

async fn look_at_images(subject: &mut Subject, source: &SourceConfig, link: &mut MongoLink) {
    let want = Want::of(source);
    if want == Want::No {
        return;
    }
    let Some(command) = images::command(&source.scope) else {
        let because =
            "the whole deployment is watched; db.getCollectionInfos() of each database tells";
        return subject.push(Finding::not_checked(images::CHECK, because));
    };
    subject.push(match link.ask(&command).await {
        Ok(answer) => images::judge(&answer, want, &source.scope),
        Err(error) => not_answered(images::CHECK, &error, "listCollections"),
    });
}

/// The Stable API as the connector asks for it.
async fn ping(
    config: SessionConfig,
    address: &Address,
    source: &SourceConfig,
) -> Result<Document, AskError> {
    let mut link = MongoLink::open(config, address, source.mongo_tls.as_ref()).await?;
    link.ask(&doc! { "ping": 1, "$db": "admin" }).await
}

fn judge_api(answer: Result<Document, AskError>) -> Finding {
    const CHECK: &str = "stable API";
    match answer {
        Ok(_) => Finding::ok(CHECK, "the server takes it as server.api.* ask for it"),
        Err(error) => Finding::failure(
            CHECK,
            error.to_string(),
            "remove server.api.version, or relax server.api.strict and server.api.deprecation.errors",
        ),
    }
}

/// A question that the user may not ask is no fault of the connector; any other silence is.
fn not_answered(check: &str, error: &AskError, right: &str) -> Finding {
    if error.is_unauthorized() {
        Finding::not_checked(check, format!("the user may not look: it would take {right}"))
    } else {
        Finding::of_error(check, error)
    }
}
