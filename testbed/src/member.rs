//! One mongod: its command line, and the wait until it listens.

use std::{net::TcpStream, process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    data_disk::DataDisk,
    launch::{Launcher, Server},
    plan::{MongodbPlan, Topology},
    port::Port,
    proxy::Proxy,
    replica_set::Access,
    security::{Certificates, Secret, Tls, write_secret},
    software::{Invocation, Mongod},
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
    pub(crate) key: Option<Secret>,
    /// How the testbed itself connects.
    pub(crate) access: Access,
}

/// One mongod on its own port and data.
#[derive(Debug)]
pub(crate) struct Member {
    // The process ends before its disk goes.
    pub(crate) server: Server,
    pub(crate) disk: Option<DataDisk>,
    pub(crate) proxy: Option<Proxy>,
    /// `host:port` of the mongod itself, past any proxy.
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
            let server = Server::new(&format!("mongod-{index}"), setup.mongod.image(), launcher)?;
            let proxy = match setup.plan.proxied {
                true => Some(Proxy::start(&port.address()).await?),
                false => None,
            };
            let disk = match setup.plan.disk_mb {
                Some(size_mb) => Some(DataDisk::mount(&server.folder().join("data"), size_mb)?),
                None => None,
            };
            let setup = Arc::clone(setup);
            let member = Self { server, disk, proxy, address: port.address(), port, setup };
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

    /// `host:port` for clients and for the other members: its own, or its proxy's.
    pub(crate) fn advertised(&self) -> String {
        self.proxy.as_ref().map_or_else(|| self.address.clone(), Proxy::address)
    }

    /// Starts the mongod on its port and data, and waits until it listens.
    pub(crate) async fn start(&self) -> Result<()> {
        let limits = self.setup.plan.limits.clone();
        self.server.start(Invocation { command: self.command()?, limits })?;
        self.server
            .wait_until("listens", LISTEN_LIMIT, || async {
                TcpStream::connect(&self.address)
                    .with_context(|| format!("connect to {}", self.address))?;
                Ok(())
            })
            .await
    }

    fn command(&self) -> Result<Command> {
        let Setup { mongod, plan, key, access } = &*self.setup;
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
            Topology::Standalone | Topology::Sharded => {}
        }
        if let Some(key) = key {
            command.arg("--auth");
            if matches!(plan.topology, Topology::ReplicaSet { .. }) {
                let path = self.server.folder().join("key");
                write_secret(&path, key.text())?;
                command.arg("--keyFile").arg(path);
            }
        }
        if let Some(certificates) = &access.certificates {
            add_tls(&mut command, plan.tls, certificates);
        }
        for (name, value) in &plan.parameters {
            command.arg("--setParameter").arg(format!("{name}={value}"));
        }
        Ok(command)
    }
}

fn add_tls(command: &mut Command, tls: Tls, certificates: &Certificates) {
    command.args(["--tlsMode", if tls == Tls::Offered { "preferTLS" } else { "requireTLS" }]);
    command.arg("--tlsCertificateKeyFile").arg(&certificates.server);
    command.arg("--tlsCAFile").arg(&certificates.ca);
    match tls {
        Tls::Off | Tls::Mutual => {}
        Tls::Offered | Tls::Server => {
            command.arg("--tlsAllowConnectionsWithoutCertificates");
        }
    }
}
