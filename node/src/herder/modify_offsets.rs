//! The positions of a connector: shown at any time, changed while it is stopped and has no task.
//!
//! Connect's rules and words. What is stored is read from the file or the topic each time, so that a position that
//! somebody else has stored is seen.

use std::sync::Arc;

use super::{Herder, HerderError};
use crate::config::TargetState;
use crate::offsets::NamedOffset;

/// What became of the positions, in a sentence.
pub(crate) type Message = String;

impl Herder {
    /// The positions that a connector has stored.
    pub(crate) async fn offsets(&self, name: &str) -> Result<Vec<NamedOffset>, HerderError> {
        self.look_at(name, |_| ()).ok_or_else(|| HerderError::no_connector(name))?;
        self.stored_of(name).await
    }

    /// Stores `offsets`, each in place of what its partition had.
    pub(crate) async fn alter_offsets(
        self: &Arc<Self>,
        name: &str,
        offsets: Vec<NamedOffset>,
    ) -> Result<Message, HerderError> {
        let _changes = self.changes.lock().await;
        self.ensure_stopped(name)?;
        self.store(name, &offsets).await?;
        Ok(message("altered"))
    }

    /// Forgets every position of a connector.
    pub(crate) async fn reset_offsets(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Message, HerderError> {
        let _changes = self.changes.lock().await;
        self.ensure_stopped(name)?;
        let mut offsets = self.stored_of(name).await?;
        for named in &mut offsets {
            named.offset = None;
        }
        self.store(name, &offsets).await?;
        Ok(message("reset"))
    }

    async fn stored_of(&self, name: &str) -> Result<Vec<NamedOffset>, HerderError> {
        match self.offsets.read().await {
            Ok(stored) => Ok(stored.of_connector(name)),
            Err(error) => Err(HerderError::Failed(format!(
                "Failed to retrieve offsets for connector {name}: {error:#}"
            ))),
        }
    }

    fn ensure_stopped(&self, name: &str) -> Result<(), HerderError> {
        let is_stopped = self.look_at(name, |connector| {
            connector.target == TargetState::Stopped && connector.task.is_none()
        });
        match is_stopped {
            None => Err(HerderError::no_connector(name)),
            Some(true) => Ok(()),
            Some(false) => Err(HerderError::BadRequest(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. \
                 This can be done for the specified connector by issuing a 'PUT' request to the \
                 '/connectors/{name}/stop' endpoint"
            ))),
        }
    }

    async fn store(&self, name: &str, offsets: &[NamedOffset]) -> Result<(), HerderError> {
        let failed = |error: String| {
            HerderError::Failed(format!(
                "Failed to modify offsets for source connector {name}: {error}"
            ))
        };
        let pairs = offsets.iter().map(|named| named.to_pair(name)).collect::<Result<Vec<_>, _>>();
        let pairs = pairs.map_err(|error| failed(error.to_string()))?;
        if pairs.is_empty() {
            return Ok(());
        }
        self.offsets.write(pairs).await.map_err(|error| failed(format!("{error:#}")))
    }
}

/// The MongoDB connector keeps no positions of its own, and does not say so; Connect therefore says this.
fn message(what: &str) -> Message {
    format!(
        "The Connect framework-managed offsets for this connector have been {what} successfully. \
         However, if this connector manages offsets externally, they will need to be manually {what} in \
         the system that the connector uses."
    )
}
