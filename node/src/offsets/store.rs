//! Where the positions of a worker are kept, whichever of the two it is: read, and changed by hand.
//!
//! A running task stores its own positions ([`super::writer`] in a file, its pipeline in a topic). What is changed
//! here belongs to connectors without a task.

use crate::config::{OffsetStorage, WorkerConfig};
use crate::kafka::{Cluster, Pair};

use super::file_store::FileStore;
use super::stored::StoredOffsets;
use super::topic::OffsetTopic;
use super::topic_reader::{self, OffsetTopicError};
use super::topic_writer;
use super::writer::{self, OffsetWriter, Orders};

/// See the module.
pub(crate) enum OffsetStore {
    /// Connect's file.
    File(FileOrders),
    /// Connect's compacted topic.
    Topic(OffsetTopic),
}

/// Whether another try may go better than one that has failed with `error`: Kafka was away, or slow.
pub(crate) fn may_pass(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(OffsetTopicError::may_pass)
}

/// The way to the thread that owns the offsets file.
pub(crate) struct FileOrders(Orders);

impl OffsetStore {
    /// Opens the file, or names the topic, which is read when it is asked for.
    ///
    /// # Errors
    /// When the file is not one of offsets, or could not be replaced.
    pub(crate) fn open(worker: &WorkerConfig) -> anyhow::Result<Self> {
        Ok(match &worker.offsets {
            OffsetStorage::File(path) => {
                Self::File(FileOrders(writer::start(FileStore::open(path)?)))
            }
            OffsetStorage::Topic { name, .. } => {
                let (bootstrap, security) = (worker.bootstrap.clone(), worker.security.clone());
                let client_id = "millrace-offsets".to_owned();
                let cluster = Cluster { bootstrap, security, client_id };
                Self::Topic(OffsetTopic::new(cluster, name.clone()))
            }
        })
    }

    /// Whoever calls this has made sure of the topic, or written to it. That it is not there means from now on that a
    /// broker has not heard of it, not that nothing is stored.
    pub(crate) fn expect_topic(&self) {
        match self {
            Self::File(_) => {}
            Self::Topic(topic) => topic.expect(),
        }
    }

    /// All that is stored now.
    ///
    /// # Errors
    /// When the topic cannot be read.
    pub(crate) async fn read(&self) -> anyhow::Result<StoredOffsets> {
        match self {
            Self::File(FileOrders(orders)) => orders.read().await.map_err(anyhow::Error::msg),
            Self::Topic(topic) => Ok(topic_reader::read(topic).await?),
        }
    }

    /// Who stores the positions under `key`; `None`: the pipeline does it by itself.
    pub(crate) fn writer(&self, key: Vec<u8>) -> Option<OffsetWriter> {
        match self {
            Self::File(FileOrders(orders)) => Some(orders.writer(key)),
            Self::Topic(_) => None,
        }
    }

    /// Stores `pairs`; the end says that they are kept.
    ///
    /// # Errors
    /// When the file or the topic cannot be written.
    pub(crate) async fn write(&self, pairs: Vec<Pair>) -> anyhow::Result<()> {
        match self {
            Self::File(FileOrders(orders)) => orders.write(pairs).await.map_err(anyhow::Error::msg),
            Self::Topic(topic) => Ok(topic_writer::write(topic, pairs).await?),
        }
    }
}
