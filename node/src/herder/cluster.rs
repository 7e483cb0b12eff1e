//! What the Kafka cluster is called: asked until a broker says it, while the worker already serves.
//!
//! Connect asks before it starts and ends without an answer. Here a worker may be up before its brokers are.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::kafka::api::Api;
use millrace_core::kafka::api::metadata::{self, Metadata};
use millrace_core::link::Address;
use tokio::time::sleep;

use super::Herder;
use crate::kafka::{Cluster, Connection, KafkaError};

/// How long one broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two rounds over the brokers.
const PAUSE: Duration = Duration::from_secs(2);

impl Herder {
    /// Ends when the name is known.
    pub(crate) async fn find_cluster(self: Arc<Self>) {
        let cluster = Cluster {
            bootstrap: self.worker.bootstrap.clone(),
            security: self.worker.security.clone(),
            client_id: "millrace-cluster-id".to_owned(),
        };
        loop {
            for broker in &cluster.bootstrap {
                match ask(&cluster, broker).await {
                    Ok(Some(name)) => return drop(self.cluster_id.set(name)),
                    Ok(None) => return,
                    Err(error @ KafkaError::Login { .. }) => {
                        return tracing::error!(
                            "the cluster's name stays unknown: the worker {error}"
                        );
                    }
                    Err(error) => tracing::debug!("the cluster's name is not known yet: {error}"),
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// `None` until a broker has said it.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }
}

/// Asks `broker` what the cluster is called. `None`: it has no name.
async fn ask(cluster: &Cluster, broker: &Address) -> Result<Option<String>, KafkaError> {
    let mut connection = Connection::open(cluster, broker).await?;
    let write = |out: &mut Vec<u8>| metadata::write_request(out, std::iter::empty(), false);
    let metadata = connection.request(Api::Metadata, write, Metadata::read, ANSWER_TIMEOUT).await?;
    Ok(metadata.cluster_id)
}
