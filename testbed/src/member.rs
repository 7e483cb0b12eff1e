//! One mongod: its command line, and the wait until it answers.

use std::{
    fs, net::TcpStream, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command,
    sync::Arc, time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    fetch::Mongod,
    launch::{Launcher, Server},
    plan::{MongodbPlan, Topology},
    port::Port,
};

/// The name of the replica set.
pub(crate) const REPLICA_SET: &str = "rs0";
/// How long a mongod may take to listen; recovery after a kill included.
const LISTEN_LIMIT: Duration = Duration::from_secs(60);
/// How often a new mongod gets another port, because someone was faster on the first.
const PORT_TRIES: usize = 3;

/// What all members of a deployment are started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) mongod: Mongod,
    pub(crate) plan: MongodbPlan,
    /// The secret that members share, if clients must authenticate.
    pub(crate) key: Option<String>,
}

/// One mongod on its own port and data.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) server: Server,
    pub(crate) address: String,
    port: Port,
    setup: Arc<Setup>,
}

impl Member {
    /// Starts a mongod on a free port with no data, and waits until it listens.
    pub(crate) async fn start_new(
        index: usize,
        setup: &Arc<Setup>,
        launcher: &Arc<Launcher>,
    ) -> Result<Self> {
        let mut tries = 1;
        loop {
            let port = Port::lease()?;
            let server = Server::new(&format!("mongod-{index}"), launcher)?;
            let setup = Arc::clone(setup);
            let member = Self { server, address: port.address(), port, setup };
            match member.start().await {
                Err(_)
                    if tries < PORT_TRIES && member.server.has_logged("Address already in use") =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(member),
            }
        }
    }

    /// Starts the mongod on its port and data, and waits until it listens.
    pub(crate) async fn start(&self) -> Result<()> {
        self.server.start(self.command()?)?;
        self.server
            .wait_until("listens", LISTEN_LIMIT, || async {
                TcpStream::connect(&self.address)
                    .with_context(|| format!("connect to {}", self.address))?;
                Ok(())
            })
            .await
    }

    fn command(&self) -> Result<Command> {
        let Setup { mongod, plan, key } = &*self.setup;
        let mut command = mongod.command();
        command.arg("--port").arg(self.port.number().to_string());
        command.args(["--bind_ip", "127.0.0.1", "--nounixsocket"]);
        command.arg("--dbpath").arg(self.server.folder().join("data"));
        command.arg("--wiredTigerCacheSizeGB").arg(plan.cache_gb.to_string());
        match plan.topology {
            Topology::ReplicaSet { .. } => {
                command.args(["--replSet", REPLICA_SET]);
                command.arg("--oplogSize").arg(plan.oplog_mb.to_string());
                // A stopped member of several first lets its clients leave, 15 s by default.
                command.args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=1000"]);
            }
            Topology::Standalone => {}
        }
        if let Some(key) = key {
            command.arg("--auth");
            if matches!(plan.topology, Topology::ReplicaSet { .. }) {
                command.arg("--keyFile").arg(self.write_key(key)?);
            }
        }
        for (name, value) in &plan.parameters {
            command.arg("--setParameter").arg(format!("{name}={value}"));
        }
        Ok(command)
    }

    fn write_key(&self, key: &str) -> Result<PathBuf> {
        let path = self.server.folder().join("key");
        let write = || {
            fs::write(&path, key)?;
            // mongod refuses a key that others can read.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        };
        write().with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}
