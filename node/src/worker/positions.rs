//! The positions of connectors: shown at any time, changed by hand while a connector is stopped and has no task.
//!
//! Connect's words. What is stored is read from the file or the topic each time, so that a position that somebody else
//! has stored is seen. Whether a connector is stopped is for the herder to know.

use std::sync::Arc;

use super::Worker;
use crate::herder::HerderError;
use crate::offsets::{NamedOffset, StoredOffsets};

/// What became of the positions, in a sentence.
pub(crate) type Message = String;

impl Worker {
    /// All that is stored now.
    ///
    /// # Errors
    /// When the file or the topic cannot be read.
    pub(crate) async fn stored_positions(&self) -> anyhow::Result<Arc<StoredOffsets>> {
        self.offsets.read().await.map(Arc::new)
    }

    /// The positions that a connector has stored.
    pub(crate) async fn positions(&self, name: &str) -> Result<Vec<NamedOffset>, HerderError> {
        match self.offsets.read().await {
            Ok(stored) => Ok(stored.of_connector(name)),
            Err(error) => Err(HerderError::Failed(format!(
                "Failed to retrieve offsets for connector {name}: {error:#}"
            ))),
        }
    }

    /// Stores `offsets`, each in place of what its partition had.
    pub(crate) async fn alter_positions(
        &self,
        name: &str,
        offsets: Vec<NamedOffset>,
    ) -> Result<Message, HerderError> {
        self.store(name, &offsets).await?;
        Ok(message("altered"))
    }

    /// Forgets every position of a connector.
    pub(crate) async fn reset_positions(&self, name: &str) -> Result<Message, HerderError> {
        let mut offsets = self.positions(name).await?;
        for named in &mut offsets {
            named.offset = None;
        }
        self.store(name, &offsets).await?;
        Ok(message("reset"))
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
