//! A MongoDB deployment: a replica set of 1 or 3 members, a standalone, or one given from outside.
//!
//! ```text
//!  member   0        1        2          an index, stable over kill and start
//!  address  127.0.0.1:a  :b  :c          stable as well; data and log too
//! ```
//!
//! An external deployment is reached, asked and written to, but its processes are not ours: what
//! would control them is refused with an error that says so.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bson::{Bson, doc};
use mongodb::{Client, error::ErrorKind, options::ClientOptions};

use crate::{
    facts::MongodbFacts,
    launch::{Launcher, Server},
    member::{Member, REPLICA_SET, Setup},
    plan::{MongodbPlan, Topology},
    process::POLL,
    proxy::Proxy,
    replica_set::{self, Access, Login, Standing},
    security::{Certificates, Secret, Tls},
    sharded,
    software::Mongod,
};

/// How long a deployment may take to have a primary that accepts a majority write.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The user that a deployment with authentication has from the start.
const ROOT: &str = "millrace_root";

/// A MongoDB deployment that serves.
pub struct Mongodb {
    uri: String,
    /// As clients know them.
    hosts: Vec<String>,
    access: Access,
    facts: MongodbFacts,
    /// `None` if the processes are not ours.
    members: Option<Vec<Member>>,
}

// By hand, because the connection string may hold a password.
impl fmt::Debug for Mongodb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mongodb")
            .field("hosts", &self.hosts)
            .field("access", &self.access)
            .field("facts", &self.facts)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl Mongodb {
    /// Starts what `plan` says and waits until it serves.
    pub(crate) async fn up(plan: &MongodbPlan, launcher: &Arc<Launcher>) -> Result<Self> {
        let mongod = Mongod::of(&launcher.engine).await?;
        let image = mongod.image().map(ToString::to_string);
        let key = plan.auth.then(Secret::new);
        let certificates = match plan.tls {
            Tls::Off => None,
            Tls::Offered | Tls::Server | Tls::Mutual => {
                Some(Certificates::create(&launcher.folder.path().join("tls-mongodb"))?)
            }
        };
        let login = plan
            .auth
            .then(|| Login { name: ROOT.to_owned(), password: Secret::new().text().to_owned() });
        let access = Access { login, certificates };
        let setup = Arc::new(Setup { mongod, plan: plan.clone(), key, access: access.clone() });
        let mut members = Vec::new();
        for index in 0..plan.member_count() {
            members.push(Member::start_new(index, &setup, launcher).await?);
        }
        let addresses: Vec<String> = members.iter().map(|member| member.address.clone()).collect();
        let hosts: Vec<String> = members.iter().map(Member::advertised).collect();
        let first = addresses.first().context("a deployment without members")?;
        let replica_set = match plan.topology {
            Topology::ReplicaSet { .. } => {
                replica_set::initiate(first, &hosts, &access, plan.election_timeout_ms).await?;
                Some(REPLICA_SET.to_owned())
            }
            Topology::Standalone | Topology::Sharded => None,
        };
        let primary = replica_set::wait_for_primary(&addresses, &access, READY_LIMIT).await?;
        let address = addresses.get(primary).cloned().unwrap_or_default();
        replica_set::create_root(&address, &access).await?;
        let bounds =
            members.first().map(|member| member.server.bounds(&plan.limits)).transpose()?;
        let facts = MongodbFacts {
            version: version(&address, &access).await?,
            replica_set,
            members: members.len(),
            auth: plan.auth,
            cache_gb: Some(plan.cache_gb),
            oplog_mb: matches!(plan.topology, Topology::ReplicaSet { .. }).then_some(plan.oplog_mb),
            shards: None,
            tls: Some(plan.tls),
            image,
            proxied: plan.proxied,
            bounds,
        };
        let uri = connection_string(&hosts, &access, plan.tls, facts.replica_set.as_deref());
        let mongodb = Self { uri, hosts, access, facts, members: Some(members) };
        for index in 0..mongodb.member_count() {
            mongodb.wait_until_member_serves(index).await?;
        }
        mongodb.wait_ready().await?;
        Ok(mongodb)
    }

    /// Reaches the deployment at `uri`.
    pub(crate) async fn reach_external(uri: &str) -> Result<Self> {
        let options = ClientOptions::parse(uri).await.context("read the MongoDB address")?;
        let login = options.credential.as_ref().and_then(|credential| {
            let (name, password) = (credential.username.clone()?, credential.password.clone()?);
            Some(Login { name, password })
        });
        let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
        let admin = client(uri).await?.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 }).await.with_context(|| {
            format!("reach MongoDB at {}: is it running, and is this its address?", hosts.join(","))
        })?;
        let build = admin.run_command(doc! { "buildInfo": 1 }).await.context("ask its version")?;
        let facts = MongodbFacts {
            version: build.get_str("version")?.to_owned(),
            replica_set: hello.get_str("setName").ok().map(str::to_owned),
            members: hello.get_array("hosts").map_or(1, Vec::len),
            auth: login.is_some(),
            cache_gb: None,
            oplog_mb: None,
            shards: sharded::count_shards(&admin, &hello).await?,
            tls: None,
            image: None,
            proxied: false,
            bounds: None,
        };
        let access = Access { login, certificates: None };
        Ok(Self { uri: uri.to_owned(), hosts, access, facts, members: None })
    }

    /// The connection string: all members, the replica set, and a root user where clients
    /// authenticate.
    pub fn uri(&self) -> String {
        self.uri.clone()
    }

    /// As [`Mongodb::uri`], for connections in the clear.
    ///
    /// # Errors
    /// When the plan lets nobody in who does not encrypt.
    pub fn plain_uri(&self) -> Result<String> {
        match self.tls() {
            Tls::Off => Ok(self.uri()),
            Tls::Offered => {
                let access = self.access.without_files();
                Ok(connection_string(&self.hosts, &access, Tls::Off, self.replica_set()))
            }
            tls @ (Tls::Server | Tls::Mutual) => {
                bail!(
                    "connect to mongod in the clear: it is planned with Tls::{tls:?}; plan Tls::Offered"
                )
            }
        }
    }

    /// The connection string of a Java driver, which takes no files from it: what it is to trust it has to be told
    /// otherwise, see [`Certificates::truststore`].
    pub fn java_uri(&self) -> String {
        if self.certificates().is_none() {
            return self.uri();
        }
        let access = self.access.without_files();
        let uri = connection_string(&self.hosts, &access, Tls::Off, self.replica_set());
        format!("{uri}{}tls=true", option_separator(&uri))
    }

    /// The connection string of another user. Options of an external address are not carried over.
    pub fn uri_as(&self, name: &str, password: &str) -> String {
        let login = Some(Login { name: name.to_owned(), password: password.to_owned() });
        let access = Access { login, certificates: self.access.certificates.clone() };
        connection_string(&self.hosts, &access, self.tls(), self.replica_set())
    }

    /// A connection string that leads to one member and no other, whatever it is at the time.
    ///
    /// # Errors
    /// When there is no such member or it is not ours.
    pub fn member_uri(&self, member: usize) -> Result<String> {
        let host = std::slice::from_ref(&self.member(member)?.address);
        let uri = connection_string(host, &self.access, self.tls(), None);
        Ok(format!("{uri}{}directConnection=true", option_separator(&uri)))
    }

    /// `host:port` of every member.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The name of the replica set; `None` for a standalone.
    pub fn replica_set(&self) -> Option<&str> {
        self.facts.replica_set.as_deref()
    }

    /// The server's version, such as `6.0.27`.
    pub fn version(&self) -> &str {
        &self.facts.version
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        self.facts.members
    }

    /// What a record says about it.
    pub fn facts(&self) -> &MongodbFacts {
        &self.facts
    }

    /// A client of the whole deployment, with the root user where clients authenticate. It belongs
    /// to the runtime that this is called on.
    ///
    /// # Errors
    /// When the connection string cannot be read; that nobody answers shows with the first use.
    pub async fn client(&self) -> Result<Client> {
        client(&self.uri).await
    }

    /// Makes a user of the database `admin`; a role is a name or `{role, db}`.
    ///
    /// # Errors
    /// When there is no primary, or it refuses.
    pub async fn create_user(&self, name: &str, password: &str, roles: Vec<Bson>) -> Result<()> {
        let user = Login { name: name.to_owned(), password: password.to_owned() };
        let command = doc! { "createUser": &user.name, "pwd": &user.password, "roles": roles };
        let admin = self.client().await?.database("admin");
        admin.run_command(command).await.with_context(|| format!("create the user {name}"))?;
        Ok(())
    }

    /// Which member is the primary; one is waited for up to 60 s.
    ///
    /// # Errors
    /// When no running member becomes primary, or the members are not ours.
    pub async fn primary(&self) -> Result<usize> {
        let running: Vec<usize> =
            (0..self.ours()?.len()).filter(|&index| self.is_running(index)).collect();
        let ours = self.ours()?.iter().enumerate();
        let addresses: Vec<String> = ours
            .filter(|(index, _)| running.contains(index))
            .map(|(_, member)| member.address.clone())
            .collect();
        let found = replica_set::wait_for_primary(&addresses, &self.access, READY_LIMIT).await?;
        running.get(found).copied().context("a primary that is no member")
    }

    /// Waits until there is a primary and a majority takes a write.
    ///
    /// # Errors
    /// When that is not so within 60 s.
    pub async fn wait_ready(&self) -> Result<()> {
        let primary = self.primary().await?;
        let member = self.member(primary)?;
        if self.replica_set().is_none() {
            return Ok(());
        }
        member
            .server
            .wait_until("accepts a majority write", READY_LIMIT, || async {
                replica_set::write_to_majority(&member.address, &self.access).await
            })
            .await
    }

    /// The process id of one member.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn pid(&self, member: usize) -> Result<u32> {
        self.server(member)?.pid()
    }

    /// Where one member logs.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn log_path(&self, member: usize) -> Result<PathBuf> {
        Ok(self.server(member)?.log_path())
    }

    /// Sends SIGKILL to one member and waits for its end.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn kill(&self, member: usize) -> Result<()> {
        self.server(member)?.kill()
    }

    /// Sends SIGTERM to one member and waits for its end, at most 30 s.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub async fn stop(&self, member: usize) -> Result<()> {
        self.server(member)?.stop().await
    }

    /// Starts one member again on its port and data, and waits until it is primary or secondary;
    /// the only member of a set until it is primary.
    ///
    /// # Errors
    /// When it is running, does not serve within 60 s, or is not ours.
    pub async fn start(&self, member: usize) -> Result<()> {
        self.member(member)?.start().await?;
        self.wait_until_member_serves(member).await
    }

    /// Sends SIGSTOP to one member: its connections stay and nothing is answered.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn pause(&self, member: usize) -> Result<()> {
        self.server(member)?.pause()
    }

    /// Sends SIGCONT to one member.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn resume(&self, member: usize) -> Result<()> {
        self.server(member)?.resume()
    }

    /// Makes the primary step down for 10 s. The only member of a set is primary again after that.
    ///
    /// # Errors
    /// When there is no primary, or it refuses.
    pub async fn step_down(&self) -> Result<()> {
        self.step_down_for(10).await
    }

    /// Makes the primary step down, and not stand again for `for_s` seconds.
    ///
    /// # Errors
    /// When there is no primary, or it refuses.
    pub async fn step_down_for(&self, for_s: u32) -> Result<()> {
        let address = &self.member(self.primary().await?)?.address;
        // The server refuses to wait for secondaries as long as it stays down.
        let catch_up_s = i64::from(for_s.saturating_sub(1).min(1));
        let command = doc! {
            "replSetStepDown": i64::from(for_s),
            "secondaryCatchUpPeriodSecs": catch_up_s,
            "force": true,
        };
        match replica_set::admin_command(address, &self.access, command).await {
            Ok(_) => Ok(()),
            // A primary that steps down may close connections before it answers.
            Err(error) if connection_was_closed(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a secondary call an election, and waits until it has won.
    ///
    /// A member loses an election while it lags behind the voters or has just voted itself; the
    /// server says so at once and calls no other, so it is asked again until the limit.
    ///
    /// # Errors
    /// When there is no secondary, or it keeps losing, with what it said last.
    pub async fn elect_another(&self) -> Result<usize> {
        let before = self.primary().await?;
        let other = (0..self.member_count())
            .find(|member| *member != before && self.is_running(*member))
            .context("call an election: there is no secondary that runs")?;
        let address = &self.member(other)?.address;
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let called =
                replica_set::admin_command(address, &self.access, doc! { "replSetStepUp": 1 });
            let called = called.await.map(drop);
            if self.primary().await? == other {
                return Ok(other);
            }
            if Instant::now() >= deadline {
                called?;
                bail!("member {other} is no primary after its election");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Where the primary listens, past any proxy, and how the testbed connects to it.
    pub(crate) async fn primary_address(&self) -> Result<(String, Access)> {
        let primary = self.primary().await?;
        Ok((self.member(primary)?.address.clone(), self.access.clone()))
    }

    /// The proxy before one member.
    ///
    /// # Errors
    /// When the plan has none, or the members are not ours.
    pub fn proxy(&self, member: usize) -> Result<&Proxy> {
        self.member(member)?
            .proxy
            .as_ref()
            .context("the members have no proxies before them; plan them with `proxied`")
    }

    /// The certificates, where connections are encrypted.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.access.certificates.as_ref()
    }

    /// Lets all processes run on when this is dropped.
    pub(crate) fn leave(&self) {
        for member in self.members.iter().flatten() {
            member.server.leave();
        }
    }

    async fn wait_until_member_serves(&self, index: usize) -> Result<()> {
        let member = self.member(index)?;
        let alone = self.member_count() == 1;
        member
            .server
            .wait_until("serves", READY_LIMIT, || async {
                match replica_set::standing(&member.address, &self.access).await? {
                    Standing::Writable => Ok(()),
                    Standing::Secondary if !alone => Ok(()),
                    standing @ (Standing::Secondary | Standing::Other) => {
                        bail!("it is {standing:?}")
                    }
                }
            })
            .await
    }

    fn tls(&self) -> Tls {
        self.facts.tls.unwrap_or_default()
    }

    fn is_running(&self, member: usize) -> bool {
        self.server(member).is_ok_and(Server::is_running)
    }

    fn server(&self, member: usize) -> Result<&Server> {
        Ok(&self.member(member)?.server)
    }

    pub(crate) fn member(&self, index: usize) -> Result<&Member> {
        let members = self.ours()?;
        members.get(index).with_context(|| {
            format!("there is no member {index}: the deployment has {}, from 0", members.len())
        })
    }

    fn ours(&self) -> Result<&[Member]> {
        self.members.as_deref().context(
            "the MongoDB at MILLRACE_MONGODB_URI was not started here, so its processes are left \
             alone; use native servers for this",
        )
    }
}

async fn client(uri: &str) -> Result<Client> {
    Client::with_uri_str(uri).await.context("make a MongoDB client")
}

async fn version(address: &str, access: &Access) -> Result<String> {
    let build = replica_set::admin_command(address, access, doc! { "buildInfo": 1 }).await?;
    Ok(build.get_str("version").context("read the server's version")?.to_owned())
}

fn connection_was_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<mongodb::error::Error>()
        .is_some_and(|error| matches!(*error.kind, ErrorKind::Io(_)))
}

fn connection_string(hosts: &[String], access: &Access, tls: Tls, set: Option<&str>) -> String {
    let Access { login, certificates } = access;
    let user = login.as_ref().map(|login| {
        format!("{}:{}@", percent_encoded(&login.name), percent_encoded(&login.password))
    });
    let mut options = Vec::new();
    options.extend(set.map(|set| format!("replicaSet={set}")));
    options.extend(login.as_ref().map(|_| "authSource=admin".to_owned()));
    if let Some(certificates) = certificates {
        let file = |path: &Path| percent_encoded(&path.to_string_lossy());
        options.push(format!("tls=true&tlsCAFile={}", file(&certificates.ca)));
        if tls == Tls::Mutual {
            options.push(format!("tlsCertificateKeyFile={}", file(&certificates.client)));
        }
    }
    let query = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
    format!("mongodb://{}{}/{query}", user.unwrap_or_default(), hosts.join(","))
}

/// What stands before a further option of a connection string.
fn option_separator(uri: &str) -> char {
    if uri.contains('?') { '&' } else { '?' }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_string_names_all_that_is_known() {
        let hosts = ["a:1".to_owned(), "b:2".to_owned()];
        let login = Some(Login { name: "me@x".to_owned(), password: "p/w:%".to_owned() });
        let nobody = Access::default();
        assert_eq!(
            connection_string(&hosts, &nobody, Tls::Off, Some("rs0")),
            "mongodb://a:1,b:2/?replicaSet=rs0"
        );
        let somebody = Access { login, certificates: None };
        assert_eq!(
            connection_string(&hosts, &somebody, Tls::Off, Some("rs0")),
            "mongodb://me%40x:p%2Fw%3A%25@a:1,b:2/?replicaSet=rs0&authSource=admin"
        );
        assert_eq!(connection_string(&hosts[..1], &nobody, Tls::Off, None), "mongodb://a:1/");
        let files = Certificates { ca: "/a".into(), server: "/b".into(), client: "/c".into() };
        let shown = Access { login: None, certificates: Some(files) };
        assert_eq!(
            connection_string(&hosts[..1], &shown, Tls::Server, None),
            "mongodb://a:1/?tls=true&tlsCAFile=%2Fa"
        );
        assert!(
            connection_string(&hosts, &shown, Tls::Mutual, None)
                .ends_with("tlsCAFile=%2Fa&tlsCertificateKeyFile=%2Fc")
        );
    }

    #[test]
    fn password_is_never_in_debug_text() {
        let password = Secret::new().text().to_owned();
        let login = Some(Login { name: "me".to_owned(), password: password.clone() });
        let access = Access { login, certificates: None };
        assert!(!format!("{access:?}").contains(&password));
    }
}
