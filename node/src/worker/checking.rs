//! Whether a connector's configuration can be run: what a change is refused for, and what `config/validate` says.
//!
//! Connect's rules: `null` is no value and an error of its own; the class must be that of a connector that there is,
//! before anything else is looked at.
//!
//! What is looked at may be files and servers, so it is done on threads that may wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Worker;
use crate::config::{
    ConnectorFile, Examined, Problem, SourceConfig, Validation, objections_to_null,
};
use crate::herder::{HerderError, TASK_CLASS, say, unknown_class};
use crate::task::only_open;

/// How many may look at MongoDB at a time: each has a thread for as long as its servers take.
pub(super) const LOOKS_MAX: usize = 4;

/// The properties of a connector as a request has them; `None`: `null`.
pub(crate) type Posted = BTreeMap<String, Option<String>>;

/// A configuration that can be run: as it was given, and what it comes to.
#[derive(Clone, Debug)]
pub(crate) struct Runnable {
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) source: SourceConfig,
}

/// A configuration that was looked at.
struct Checked {
    /// Its notices are what the log should say if it is run.
    file: ConnectorFile,
    validation: Validation,
    /// `None` if errors are in its way.
    source: Option<SourceConfig>,
}

impl Worker {
    /// The properties of a connector, if it can be run.
    pub(crate) async fn check(&self, name: &str, posted: Posted) -> Result<Runnable, HerderError> {
        let checked = self.look_through(name, posted).await?;
        match checked.source {
            Some(source) if checked.validation.error_count() == 0 => {
                say(&checked.file.path, &checked.file.notices);
                Ok(Runnable { properties: checked.file.properties, source })
            }
            Some(_) | None => Err(HerderError::invalid(&checked.validation)),
        }
    }

    /// What a configuration comes to that was checked when it was written, and may have been by another worker; why it
    /// cannot be run.
    pub(crate) async fn read_task(
        &self,
        name: &str,
        mut properties: BTreeMap<String, String>,
    ) -> Result<SourceConfig, String> {
        // Connect has it among the properties of every task.
        properties.remove(TASK_CLASS.0);
        known_class(&properties).map_err(|error| error.to_string())?;
        let (file, examined) = self
            .examine(ConnectorFile::posted(name, properties))
            .await
            .map_err(|error| error.to_string())?;
        say(&file.path, &examined.notices);
        examined.source.ok_or_else(|| {
            let problems: Vec<String> = examined.problems.iter().map(ToString::to_string).collect();
            problems.join("\n")
        })
    }

    /// What there is to say of every property of a connector.
    ///
    /// # Errors
    /// When its class is not there, or is none.
    pub(crate) async fn validate(&self, posted: Posted) -> Result<Validation, HerderError> {
        let name = posted.get("name").cloned().flatten().unwrap_or_default();
        Ok(self.look_through(name.trim(), posted).await?.validation)
    }

    async fn look_through(&self, name: &str, posted: Posted) -> Result<Checked, HerderError> {
        let nulls = posted.iter().filter(|(_, value)| value.is_none());
        let of_nulls: Vec<Problem> =
            nulls.flat_map(|(property, _)| objections_to_null(property)).collect();
        let given = posted.iter().filter_map(|(property, value)| Some((property, value.as_ref()?)));
        let properties: BTreeMap<String, String> =
            given.map(|(property, value)| (property.clone(), value.clone())).collect();
        let class = known_class(&properties)?.to_owned();
        let file = ConnectorFile::posted(name, properties);
        let (mut file, Examined { source, mut problems, notices, may_connect }) =
            self.examine(file).await?;
        problems.extend(of_nulls);
        if let (Some(source), true) = (&source, may_connect) {
            problems.extend(self.connect(source).await?);
        }
        file.notices = notices;
        let validation = Validation::new(&class, &posted, &problems, &self.config);
        Ok(Checked { file, validation, source })
    }

    /// Checks a file and the stores that it names.
    async fn examine(&self, file: ConnectorFile) -> Result<(ConnectorFile, Examined), HerderError> {
        let (config, strict) = (Arc::clone(&self.config), self.strict);
        let examined = tokio::task::spawn_blocking(move || {
            let examined = SourceConfig::examine(&file, &config, strict);
            (file, examined)
        });
        let failed =
            |error| HerderError::Failed(format!("could not check the configuration: {error}"));
        examined.await.map_err(failed)
    }

    /// Looks whether MongoDB lets the connector watch. Waits while [`LOOKS_MAX`] others look.
    async fn connect(&self, source: &SourceConfig) -> Result<Vec<Problem>, HerderError> {
        let failed =
            |error: String| HerderError::Failed(format!("could not look at MongoDB: {error}"));
        let look = Arc::clone(&self.looks).acquire_owned().await;
        let look = look.map_err(|error| failed(error.to_string()))?;
        let (source, driver, concealed) = (source.clone(), self.driver, source.concealed());
        let objection = tokio::task::spawn_blocking(move || {
            // Given back when the thread is free, also if nobody waits for the answer any more.
            let _look = look;
            only_open::objection(&source, driver)
        });
        let objection = objection.await.map_err(|error| failed(error.to_string()))?;
        let objection = objection.map_err(|error| failed(error.to_string()))?;
        let safe = objection.map(|text| concealed.without_secrets(&text).into_owned());
        Ok(safe.map(|text| Problem::of_server("connection.uri", text)).into_iter().collect())
    }
}

/// The class of the connector, as it is given.
fn known_class(properties: &BTreeMap<String, String>) -> Result<&str, HerderError> {
    match properties.get("connector.class") {
        // Connect prints the whole configuration here, passwords too.
        None => Err(HerderError::BadRequest(
            "Connector config contains no connector type; set connector.class".to_owned(),
        )),
        Some(class) if !SourceConfig::is_class(class) => {
            Err(HerderError::BadRequest(unknown_class(class)))
        }
        Some(class) => Ok(class),
    }
}
