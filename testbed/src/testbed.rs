//! One set of servers, from the moment it serves to its end.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    detached::{self, State, StateFile},
    facts::{Facts, Origin},
    kafka::Kafka,
    launch::Launcher,
    mongodb::Mongodb,
    plan::{Plan, Servers, Topology},
    provision::{Addresses, KAFKA_BOOTSTRAP, MONGODB_URI, Provisioner},
    run_folder::RunFolder,
    security::Tls,
    software::Engine,
};

/// What names in servers that are not ours must begin with.
const OWN_PREFIX: &str = "millrace_";

/// Servers that serve. Dropping ends those that were started here and removes their folder.
#[derive(Debug)]
pub struct Testbed {
    // Dropped in this order: processes first, then the folder that they write to.
    mongodb: Option<Mongodb>,
    kafka: Option<Kafka>,
    launcher: Option<Arc<Launcher>>,
    facts: Facts,
}

impl Testbed {
    /// Has the servers of `plan`, from where `servers` says, and returns when they serve.
    ///
    /// Native servers take about 5 s; the first time on a machine they are fetched, up to a minute.
    /// They end with this value, and with this process however it ends.
    ///
    /// # Errors
    /// What was tried, why it failed and what to do: addresses that are missing or do not answer; a
    /// download that fails; a server that does not come up, with the end of its log.
    pub async fn up(plan: Plan, servers: Servers) -> Result<Self> {
        plan.check()?;
        match Provisioner::choose(&plan, servers).await? {
            Provisioner::External(addresses) => Self::reach(&plan, &addresses).await,
            Provisioner::Started(engine) => {
                let containers = matches!(engine, Engine::Docker(..));
                let folder = RunFolder::temporary(containers)?;
                Self::start(&plan, Launcher { folder, state: None, engine }).await
            }
        }
    }

    /// Starts native servers that can be left running; see [`Testbed::up_detached_from`].
    ///
    /// # Errors
    /// As [`Testbed::up`].
    pub async fn up_detached(plan: Plan) -> Result<Self> {
        Self::up_detached_from(plan, Servers::Native).await
    }

    /// Starts servers that can be left running: until [`Testbed::keep`] they end with this value. A
    /// process that is killed before leaves them to [`detached::down`].
    ///
    /// # Errors
    /// As [`Testbed::up`]; when the servers are external, for those run anyway; when the plan has what
    /// ends with this process: a proxy, or a data disk of its own.
    pub async fn up_detached_from(plan: Plan, servers: Servers) -> Result<Self> {
        plan.check()?;
        plan.check_detachable()?;
        let engine = match Provisioner::choose(&plan, servers).await? {
            Provisioner::Started(engine) => engine,
            Provisioner::External(_) => bail!(
                "start servers that stay: addresses of ones that run already are given; unset \
                 {MONGODB_URI} and {KAFKA_BOOTSTRAP}, or say --servers native"
            ),
        };
        let folder = RunFolder::detached(&detached::parent_folder()?)?;
        let state = StateFile::create(folder.path())?;
        let containers = matches!(engine, Engine::Docker(..));
        state.change(|state| state.containers = containers)?;
        let launcher = Launcher { folder, state: Some(state), engine };
        let testbed = Self::start(&plan, launcher).await?;
        testbed.note_in_state()?;
        Ok(testbed)
    }

    /// Leaves servers of [`Testbed::up_detached`] running until [`detached::down`].
    ///
    /// # Errors
    /// When they were not started by that; they are ended then.
    pub fn keep(self) -> Result<State> {
        let state = self.state().context(
            "keep servers running: they were started to end with this process; start them detached",
        )?;
        if let Some(mongodb) = &self.mongodb {
            mongodb.leave();
        }
        if let Some(kafka) = &self.kafka {
            kafka.leave();
        }
        if let Some(launcher) = &self.launcher {
            launcher.folder.leave();
        }
        Ok(state)
    }

    /// What is noted of detached servers; `None` for others.
    pub fn state(&self) -> Option<State> {
        Some(self.launcher.as_ref()?.state.as_ref()?.state())
    }

    /// The MongoDB deployment.
    ///
    /// # Panics
    /// When the plan has none.
    pub fn mongodb(&self) -> &Mongodb {
        self.mongodb.as_ref().expect("the plan of this testbed has no MongoDB")
    }

    /// The Kafka broker.
    ///
    /// # Panics
    /// When the plan has none.
    pub fn kafka(&self) -> &Kafka {
        self.kafka.as_ref().expect("the plan of this testbed has no Kafka")
    }

    /// What a record says about the servers.
    pub fn facts(&self) -> Facts {
        self.facts.clone()
    }

    /// Whether the servers were given from outside, so that faults are refused.
    pub fn is_external(&self) -> bool {
        self.facts.origin == Origin::External
    }

    /// The folder of the servers, also for logs of what runs against them; `None` for external
    /// ones.
    pub fn folder(&self) -> Option<&Path> {
        self.launcher.as_ref().map(|launcher| launcher.folder.path())
    }

    /// Makes sure that a database or topic may be written to, and removed: in servers that are not
    /// ours only names that begin with `millrace_`.
    ///
    /// # Errors
    /// When the servers are external and the name is not so.
    pub fn own_name(&self, name: &str) -> Result<()> {
        own_name(self.facts.origin, name)
    }

    async fn start(plan: &Plan, launcher: Launcher) -> Result<Self> {
        let origin = match &launcher.engine {
            Engine::Native => Origin::Native,
            Engine::Docker(..) => Origin::Docker,
        };
        let launcher = Arc::new(launcher);
        let (mongodb, kafka) = tokio::try_join!(
            async {
                match &plan.mongodb {
                    Some(plan) => Mongodb::up(plan, &launcher).await.map(Some),
                    None => Ok(None),
                }
            },
            async {
                match &plan.kafka {
                    Some(plan) => Kafka::up(plan, &launcher).await.map(Some),
                    None => Ok(None),
                }
            },
        )?;
        Ok(Self::of(origin, mongodb, kafka, Some(launcher)))
    }

    async fn reach(plan: &Plan, addresses: &Addresses) -> Result<Self> {
        let missing = |name: &str| format!("use external servers: {name} is not set; set it");
        let encrypts = plan.mongodb.as_ref().map(|plan| plan.tls).into_iter();
        let mut encrypts = encrypts.chain(plan.kafka.as_ref().map(|plan| plan.tls));
        ensure!(
            encrypts.all(|tls| tls == Tls::Off),
            "use external servers: encrypted connections are planned, and only for servers that are started here there \
             are certificates; unset {MONGODB_URI} and {KAFKA_BOOTSTRAP}, or say --servers native"
        );
        let mut testbed = Self::of(Origin::External, None, None, None);
        if plan.mongodb.is_some() {
            let uri = addresses.mongodb_uri.as_ref().with_context(|| missing(MONGODB_URI))?;
            let mongodb = Mongodb::reach_external(uri).await?;
            let is_sharded = mongodb.facts().shards.is_some();
            let wants_sharded =
                plan.mongodb.as_ref().is_some_and(|plan| plan.topology == Topology::Sharded);
            ensure!(
                is_sharded || !wants_sharded,
                "use {MONGODB_URI}: a sharded deployment is planned, but this is no mongos"
            );
            testbed.mongodb = Some(mongodb);
        }
        if plan.kafka.is_some() {
            let kafka = addresses.kafka_bootstrap.as_ref();
            let bootstrap = kafka.with_context(|| missing(KAFKA_BOOTSTRAP))?;
            testbed.kafka = Some(Kafka::reach_external(bootstrap).await?);
        }
        let Self { mongodb, kafka, .. } = testbed;
        Ok(Self::of(Origin::External, mongodb, kafka, None))
    }

    fn of(
        origin: Origin,
        mongodb: Option<Mongodb>,
        kafka: Option<Kafka>,
        launcher: Option<Arc<Launcher>>,
    ) -> Self {
        let facts = Facts {
            origin,
            mongodb: mongodb.as_ref().map(|mongodb| mongodb.facts().clone()),
            kafka: kafka.as_ref().map(|kafka| kafka.facts().clone()),
        };
        Self { mongodb, kafka, launcher, facts }
    }

    fn note_in_state(&self) -> Result<()> {
        let Some(state) = self.launcher.as_ref().and_then(|launcher| launcher.state.as_ref())
        else {
            return Ok(());
        };
        state.change(|state| {
            state.mongodb_uri = self.mongodb.as_ref().map(Mongodb::uri);
            state.kafka_bootstrap = self.kafka.as_ref().map(Kafka::bootstrap);
            state.kafka_client =
                self.kafka.as_ref().map(Kafka::client_properties).unwrap_or_default();
            state.facts = Some(self.facts());
        })
    }
}

fn own_name(origin: Origin, name: &str) -> Result<()> {
    ensure!(
        origin != Origin::External || name.starts_with(OWN_PREFIX),
        "{name:?} is left alone: the servers were given from outside, and there only names that \
         begin with {OWN_PREFIX} are ours"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::KafkaPlan;

    #[test]
    fn name_of_someone_else_is_left_alone_in_servers_that_are_not_ours() {
        assert!(own_name(Origin::Native, "orders").is_ok());
        assert!(own_name(Origin::Docker, "orders").is_ok());
        assert!(own_name(Origin::External, "millrace_orders").is_ok());
        let error = own_name(Origin::External, "orders").unwrap_err().to_string();
        assert!(error.contains("\"orders\" is left alone"), "{error}");
    }

    #[tokio::test]
    async fn encryption_that_is_planned_is_not_left_out_on_servers_that_are_not_ours() {
        let plan = Plan::only_kafka(KafkaPlan::default().tls(Tls::Offered));
        let addresses =
            Addresses { mongodb_uri: None, kafka_bootstrap: Some("127.0.0.1:1".to_owned()) };
        let error = Testbed::reach(&plan, &addresses).await.unwrap_err().to_string();
        assert!(error.contains("--servers native"), "{error}");
    }

    #[test]
    fn futures_can_move_between_threads() {
        fn is_send<T: Send>(_: T) {}
        is_send(Testbed::up(Plan::default(), Servers::Native));
        is_send(Testbed::up_detached(Plan::default()));
    }
}
