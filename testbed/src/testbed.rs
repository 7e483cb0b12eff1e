//! One set of servers, from the moment it serves to its end.

use std::{env, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    detached::{self, State, StateFile},
    facts::{Facts, Origin},
    kafka::Kafka,
    launch::Launcher,
    mongodb::Mongodb,
    plan::{Plan, Servers},
    run_folder::RunFolder,
};

/// The setting that gives a MongoDB from outside.
const MONGODB_URI: &str = "MILLRACE_MONGODB_URI";
/// The setting that gives a Kafka from outside.
const KAFKA_BOOTSTRAP: &str = "MILLRACE_KAFKA_BOOTSTRAP";
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
        match servers {
            Servers::Native => Self::up_native(&plan).await,
            Servers::External => Self::reach(&plan, &Addresses::from_env()).await,
            Servers::Auto => {
                let addresses = Addresses::from_env();
                if addresses.choose(&plan)? == Origin::External {
                    Self::reach(&plan, &addresses).await
                } else {
                    Self::up_native(&plan).await
                }
            }
        }
    }

    /// Starts native servers that can be left running: until [`Testbed::keep`] they end with this
    /// value. A process that is killed before leaves them to [`detached::down`].
    ///
    /// # Errors
    /// As [`Testbed::up`].
    pub async fn up_detached(plan: Plan) -> Result<Self> {
        plan.check()?;
        let folder = RunFolder::detached(&detached::parent_folder()?)?;
        let state = StateFile::create(folder.path())?;
        let testbed = Self::start(&plan, Launcher { folder, state: Some(state) }).await?;
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

    async fn up_native(plan: &Plan) -> Result<Self> {
        Self::start(plan, Launcher { folder: RunFolder::temporary()?, state: None }).await
    }

    async fn start(plan: &Plan, launcher: Launcher) -> Result<Self> {
        let launcher = Arc::new(launcher);
        let (mongodb, kafka) = tokio::try_join!(
            async {
                match &plan.mongodb {
                    Some(plan) => Mongodb::start_native(plan, &launcher).await.map(Some),
                    None => Ok(None),
                }
            },
            async {
                match &plan.kafka {
                    Some(plan) => Kafka::start_native(plan, &launcher).await.map(Some),
                    None => Ok(None),
                }
            },
        )?;
        Ok(Self::of(Origin::Native, mongodb, kafka, Some(launcher)))
    }

    async fn reach(plan: &Plan, addresses: &Addresses) -> Result<Self> {
        let missing = |name: &str| format!("use external servers: {name} is not set; set it");
        let mut testbed = Self::of(Origin::External, None, None, None);
        if plan.mongodb.is_some() {
            let uri = addresses.mongodb_uri.as_ref().with_context(|| missing(MONGODB_URI))?;
            testbed.mongodb = Some(Mongodb::reach_external(uri).await?);
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
            state.facts = Some(self.facts());
        })
    }
}

/// Addresses of servers that already run.
struct Addresses {
    mongodb_uri: Option<String>,
    kafka_bootstrap: Option<String>,
}

impl Addresses {
    fn from_env() -> Self {
        let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self { mongodb_uri: given(MONGODB_URI), kafka_bootstrap: given(KAFKA_BOOTSTRAP) }
    }

    /// External if all that the plan needs is given, native if nothing of it is.
    fn choose(&self, plan: &Plan) -> Result<Origin> {
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
            ([], _) => Ok(Origin::Native),
            (_, []) => Ok(Origin::External),
            (set, unset) => bail!(
                "choose the servers: {} is set but {} is not; set both, or neither to have both \
                 started here",
                set.join(" and "),
                unset.join(" and ")
            ),
        }
    }
}

fn own_name(origin: Origin, name: &str) -> Result<()> {
    ensure!(
        origin == Origin::Native || name.starts_with(OWN_PREFIX),
        "{name:?} is left alone: the servers were given from outside, and there only names that \
         begin with {OWN_PREFIX} are ours"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{KafkaPlan, MongodbPlan};

    fn addresses(mongodb: bool, kafka: bool) -> Addresses {
        Addresses {
            mongodb_uri: mongodb.then(|| "mongodb://a".to_owned()),
            kafka_bootstrap: kafka.then(|| "b:1".to_owned()),
        }
    }

    #[test]
    fn auto_is_external_only_if_all_that_is_needed_is_given() {
        let both = Plan::default();
        assert_eq!(addresses(true, true).choose(&both).unwrap(), Origin::External);
        assert_eq!(addresses(false, false).choose(&both).unwrap(), Origin::Native);
        let half = addresses(true, false).choose(&both).unwrap_err().to_string();
        assert!(half.contains("MILLRACE_MONGODB_URI is set"), "{half}");
        assert!(half.contains("MILLRACE_KAFKA_BOOTSTRAP is not"), "{half}");
        let mongodb = Plan::only_mongodb(MongodbPlan::default());
        assert_eq!(addresses(true, false).choose(&mongodb).unwrap(), Origin::External);
        let kafka = Plan::only_kafka(KafkaPlan::default());
        assert_eq!(addresses(true, false).choose(&kafka).unwrap(), Origin::Native);
    }

    #[test]
    fn name_of_someone_else_is_left_alone_in_servers_that_are_not_ours() {
        assert!(own_name(Origin::Native, "orders").is_ok());
        assert!(own_name(Origin::External, "millrace_orders").is_ok());
        let error = own_name(Origin::External, "orders").unwrap_err().to_string();
        assert!(error.contains("\"orders\" is left alone"), "{error}");
    }

    #[test]
    fn futures_can_move_between_threads() {
        fn is_send<T: Send>(_: T) {}
        is_send(Testbed::up(Plan::default(), Servers::Native));
        is_send(Testbed::up_detached(Plan::default()));
    }
}
