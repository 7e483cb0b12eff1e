//! Where the servers of a plan come from, and whether they can be had, before anything starts.
//!
//! ```text
//! --servers   auto      addresses given ─► external
//!                       a Docker daemon answers and has the images ─► docker
//!                       else ─► native
//!             docker    images that are there, else pulled, else those built here
//! ```

use std::{env, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    data_disk,
    docker::{
        Docker,
        image::{Images, Pull},
    },
    plan::{MongodbPlan, Plan, Servers, Topology},
    process::run,
    sharded,
    software::Engine,
};

/// The setting that gives a MongoDB from outside.
pub(crate) const MONGODB_URI: &str = "MILLRACE_MONGODB_URI";
/// The setting that gives a Kafka from outside.
pub(crate) const KAFKA_BOOTSTRAP: &str = "MILLRACE_KAFKA_BOOTSTRAP";
/// What a mongod writes before its first document: journal and its reserve, in MiB.
const MONGOD_START_MB: u64 = 400;
/// What a broker writes before its first record, in MiB.
const BROKER_START_MB: u64 = 50;
/// What a mongod takes besides its cache, in MiB.
const MONGOD_OVERHEAD_MB: f64 = 256.0;
/// What a broker takes besides its heap, in MiB.
const BROKER_OVERHEAD_MB: u32 = 256;

/// Where the servers of one plan come from.
#[derive(Debug)]
pub(crate) enum Provisioner {
    /// They run already.
    External(Addresses),
    /// They are started here.
    Started(Engine),
}

impl Provisioner {
    /// Finds out where the servers of `plan` come from.
    ///
    /// # Errors
    /// When they cannot be had from where `servers` says, or the plan asks for what this machine
    /// cannot give. Nothing was started.
    pub(crate) async fn choose(plan: &Plan, servers: Servers) -> Result<Self> {
        let addresses = Addresses::from_env();
        let engine = match servers {
            Servers::External => return Ok(Self::External(addresses)),
            Servers::Auto if addresses.are_given(plan)? => return Ok(Self::External(addresses)),
            Servers::Auto => match docker(plan, Pull::Never).await {
                Ok(engine) => engine,
                Err(error) => {
                    tracing::debug!("no containers: {error:#}");
                    Engine::Native
                }
            },
            Servers::Docker => docker(plan, Pull::IfMissing).await?,
            Servers::Native => Engine::Native,
        };
        check_startable(plan)?;
        Ok(Self::Started(engine))
    }
}

/// Refuses what cannot be started here.
fn check_startable(plan: &Plan) -> Result<()> {
    let mut disk_mb = 0;
    let mut mounts = false;
    if let Some(mongodb) = &plan.mongodb {
        if mongodb.topology == Topology::Sharded {
            sharded::refuse_to_start()?;
        }
        let least = (mongodb.cache_gb * 1024.0 + MONGOD_OVERHEAD_MB) as u32;
        mongodb.limits.check(least, "mongod")?;
        match mongodb.disk_mb {
            Some(disk_mb) => check_data_disk(mongodb, disk_mb)?,
            None => disk_mb += mongodb.member_count() as u64 * mongod_disk_mb(mongodb),
        }
        mounts |= mongodb.disk_mb.is_some();
    }
    if let Some(kafka) = &plan.kafka {
        kafka.limits.check(kafka.heap_mb + BROKER_OVERHEAD_MB, "a broker")?;
        match kafka.disk_mb {
            Some(disk_mb) => ensure!(
                u64::from(disk_mb) >= BROKER_START_MB,
                "a data disk of {disk_mb} MiB was asked for; a broker takes {BROKER_START_MB}"
            ),
            None => disk_mb += kafka.brokers as u64 * BROKER_START_MB,
        }
        mounts |= kafka.disk_mb.is_some();
    }
    if mounts {
        data_disk::check_may_mount()?;
    }
    check_free_disk(disk_mb)
}

fn check_data_disk(mongodb: &MongodbPlan, disk_mb: u32) -> Result<()> {
    ensure!(
        u64::from(disk_mb) >= MONGOD_START_MB,
        "a data disk of {disk_mb} MiB was asked for; mongod takes {MONGOD_START_MB} before its first \
         document (a plan with {} members has one each)",
        mongodb.member_count()
    );
    Ok(())
}

/// The oplog grows up to its cap; what is in it was written to a collection as well.
fn mongod_disk_mb(mongodb: &MongodbPlan) -> u64 {
    match mongodb.topology {
        Topology::ReplicaSet { .. } => MONGOD_START_MB + u64::from(mongodb.oplog_mb),
        Topology::Standalone | Topology::Sharded => MONGOD_START_MB,
    }
}

fn check_free_disk(needed_mb: u64) -> Result<()> {
    let folder = env::temp_dir();
    let free_mb = free_mb(&folder)?;
    ensure!(
        needed_mb <= free_mb,
        "start the servers in {}: {needed_mb} MiB may be written there (oplogs up to their cap, \
         journals, logs), but {free_mb} are free; free some, set TMPDIR to a larger disk, or plan a \
         smaller oplog",
        folder.display()
    );
    Ok(())
}

/// What may still be written below `folder`, in MiB.
fn free_mb(folder: &Path) -> Result<u64> {
    let mut df = Command::new("df");
    df.args(["-P", "-m"]).arg(folder);
    let text = run(df)?;
    // Filesystem, 1048576-blocks, Used, Available, Capacity, Mounted on; one line for each of them.
    let available = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3));
    available
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("read the free space of {} in {text:?}", folder.display()))
}

async fn docker(plan: &Plan, pull: Pull) -> Result<Engine> {
    let docker = Docker::connect().await?;
    let images = Images::find(&docker, plan, pull).await?;
    // What a run that was killed left behind would hold ports and memory.
    for found in docker.remove_leftovers().await? {
        tracing::warn!(role = found.role, "a container that was left behind is removed");
    }
    Ok(Engine::Docker(docker, images))
}

/// Addresses of servers that already run.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) mongodb_uri: Option<String>,
    pub(crate) kafka_bootstrap: Option<String>,
}

impl Addresses {
    fn from_env() -> Self {
        let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self { mongodb_uri: given(MONGODB_URI), kafka_bootstrap: given(KAFKA_BOOTSTRAP) }
    }

    /// True if all that the plan needs is given, false if nothing of it is.
    fn are_given(&self, plan: &Plan) -> Result<bool> {
        let mut set = Vec::new();
        let mut unset = Vec::new();
        let needs = [
            (plan.mongodb.is_some(), MONGODB_URI, &self.mongodb_uri),
            (plan.kafka.is_some(), KAFKA_BOOTSTRAP, &self.kafka_bootstrap),
        ];
        for (needed, name, value) in needs {
            if needed {
                if value.is_some() { set.push(name) } else { unset.push(name) }
            }
        }
        match (set.as_slice(), unset.as_slice()) {
            ([], _) => Ok(false),
            (_, []) => Ok(true),
            (set, unset) => bail!(
                "choose the servers: {} is set but {} is not; set both, or neither to have both \
                 started here",
                set.join(" and "),
                unset.join(" and ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Limits, plan::KafkaPlan};

    fn addresses(mongodb: bool, kafka: bool) -> Addresses {
        Addresses {
            mongodb_uri: mongodb.then(|| "mongodb://a".to_owned()),
            kafka_bootstrap: kafka.then(|| "b:1".to_owned()),
        }
    }

    #[test]
    fn auto_is_external_only_if_all_that_is_needed_is_given() {
        let both = Plan::default();
        assert!(addresses(true, true).are_given(&both).unwrap());
        assert!(!addresses(false, false).are_given(&both).unwrap());
        let half = addresses(true, false).are_given(&both).unwrap_err().to_string();
        assert!(half.contains("MILLRACE_MONGODB_URI is set"), "{half}");
        assert!(half.contains("MILLRACE_KAFKA_BOOTSTRAP is not"), "{half}");
        let mongodb = Plan::only_mongodb(MongodbPlan::default());
        assert!(addresses(true, false).are_given(&mongodb).unwrap());
        let kafka = Plan::only_kafka(KafkaPlan::default());
        assert!(!addresses(true, false).are_given(&kafka).unwrap());
    }

    #[test]
    fn plan_that_this_machine_cannot_hold_is_refused_before_anything_starts() {
        let refused = |plan: Plan| check_startable(&plan).unwrap_err().to_string();
        check_startable(&Plan::default()).unwrap();
        let huge = MongodbPlan::default().oplog_mb(u32::MAX);
        let text = refused(Plan::only_mongodb(huge));
        assert!(text.contains("are free") && text.contains("TMPDIR"), "{text}");
        let tight = KafkaPlan::default().limits(Limits::default().memory_mb(512));
        assert!(refused(Plan::only_kafka(tight)).contains("1280 or more"));
        let small = MongodbPlan::default().disk_mb(100);
        assert!(refused(Plan::only_mongodb(small)).contains("400 before its first document"));
        assert!(refused(Plan::only_mongodb(MongodbPlan::sharded())).contains("mongos"));
    }
}
