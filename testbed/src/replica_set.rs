//! Makes a replica set of started members, and asks it what it is.
//!
//! ```text
//! replSetInitiate ─► a primary ─► (with authentication) the first user ─► every member caught up
//!                                  by the localhost exception              ─► a majority write
//! ```
//!
//! Every question goes to one member over a direct connection of its own, made anew each time: the
//! callers are tests, each with its own runtime, and a driver's client belongs to the runtime that
//! made it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bson::{Document, doc};
use mongodb::{
    Client,
    options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions},
};

use crate::{member::REPLICA_SET, process::POLL, security::Certificates};

/// How long a member may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Who a client says it is.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a client needs besides an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) login: Option<Login>,
    pub(crate) certificates: Option<Certificates>,
}

impl Access {
    /// The same connection before there is a user.
    pub(crate) fn without_login(&self) -> Self {
        Self { login: None, certificates: self.certificates.clone() }
    }

    /// The same connection without what it trusts.
    pub(crate) fn without_files(&self) -> Self {
        Self { login: self.login.clone(), certificates: None }
    }
}

/// A client of one member, whatever that member is.
pub(crate) fn direct_client(address: &str, access: &Access) -> Result<Client> {
    let mut options = ClientOptions::default();
    options.hosts = vec![ServerAddress::parse(address)?];
    options.direct_connection = Some(true);
    options.server_selection_timeout = Some(ANSWER_LIMIT);
    options.connect_timeout = Some(ANSWER_LIMIT);
    options.credential = access.login.as_ref().map(|login| {
        Credential::builder().username(login.name.clone()).password(login.password.clone()).build()
    });
    options.tls = access.certificates.as_ref().map(|certificates| {
        let files = TlsOptions::builder().ca_file_path(certificates.ca.clone());
        Tls::Enabled(files.cert_key_file_path(certificates.client.clone()).build())
    });
    Client::with_options(options).with_context(|| format!("make a client of {address}"))
}

/// Runs `command` on the database `admin` of one member.
pub(crate) async fn admin_command(
    address: &str,
    access: &Access,
    command: Document,
) -> Result<Document> {
    let name = command.keys().next().cloned().unwrap_or_default();
    let client = direct_client(address, access)?;
    let database = client.database("admin");
    let reply = tokio::time::timeout(ANSWER_LIMIT * 5, database.run_command(command)).await;
    reply
        .map_err(anyhow::Error::from)
        .and_then(|reply| Ok(reply?))
        .with_context(|| format!("run {name} on {address}"))
}

/// What a member is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It accepts writes: a primary, or a standalone.
    Writable,
    /// It follows a primary and is caught up enough to be read.
    Secondary,
    /// It is starting, recovering or not yet a member.
    Other,
}

/// Asks one member what it is.
pub(crate) async fn standing(address: &str, access: &Access) -> Result<Standing> {
    let anyone = access.without_login();
    let hello = admin_command(address, &anyone, doc! { "hello": 1 });
    let hello = tokio::time::timeout(ANSWER_LIMIT, hello)
        .await
        .with_context(|| format!("ask {address} what it is"))??;
    Ok(match (hello.get_bool("isWritablePrimary"), hello.get_bool("secondary")) {
        (Ok(true), _) => Standing::Writable,
        (_, Ok(true)) => Standing::Secondary,
        _ => Standing::Other,
    })
}

/// Makes one replica set of members that have no data yet. `first` is the address of one of them,
/// `hosts` is how members and clients are to know them.
pub(crate) async fn initiate(
    first: &str,
    hosts: &[String],
    access: &Access,
    election_timeout_ms: u32,
) -> Result<()> {
    let members: Vec<_> =
        (0_i32..).zip(hosts).map(|(id, address)| doc! { "_id": id, "host": address }).collect();
    let election_timeout_ms = i64::from(election_timeout_ms);
    let config = doc! {
        "_id": REPLICA_SET,
        "members": members,
        "settings": { "electionTimeoutMillis": election_timeout_ms },
    };
    let anyone = access.without_login();
    admin_command(first, &anyone, doc! { "replSetInitiate": config }).await.map(drop)
}

/// Waits until one of `addresses` accepts writes, and returns which.
pub(crate) async fn wait_for_primary(
    addresses: &[String],
    access: &Access,
    limit: Duration,
) -> Result<usize> {
    let deadline = Instant::now() + limit;
    loop {
        let mut seen = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            match standing(address, access).await {
                Ok(Standing::Writable) => return Ok(index),
                Ok(other) => seen.push(format!("{address}: {other:?}")),
                Err(error) => seen.push(format!("{address}: {error:#}")),
            }
        }
        if Instant::now() > deadline {
            bail!("wait for a primary: none within {limit:?}; {}", seen.join("; "));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Makes the first user, which a server without users allows from its own machine.
pub(crate) async fn create_root(primary: &str, access: &Access) -> Result<()> {
    let Some(login) = &access.login else { return Ok(()) };
    let command = doc! {
        "createUser": &login.name,
        "pwd": &login.password,
        "roles": ["root"],
        "writeConcern": { "w": "majority", "wtimeout": 10_000 },
    };
    admin_command(primary, &access.without_login(), command).await.map(drop)
}

/// Writes a note into the oplog and waits until a majority has it. No collection is touched, and no
/// change stream sees it.
pub(crate) async fn write_to_majority(primary: &str, access: &Access) -> Result<()> {
    let command = doc! {
        "appendOplogNote": 1,
        "data": { "testbed": "ready" },
        "writeConcern": { "w": "majority", "wtimeout": 3_000 },
    };
    let reply = admin_command(primary, access, command).await?;
    if let Some(error) = reply.get("writeConcernError") {
        bail!("write to a majority through {primary}: {error}");
    }
    Ok(())
}
