//! What the Kafka cluster is called: asked until a broker says it, while the worker already serves.
//!
//! Connect asks before it starts and ends without an answer. Here a worker may be up before its brokers are.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::kafka::cluster_id::InquiryError;
use tokio::time::{sleep, timeout};

use super::Worker;
use crate::inquiry::{AskError, ask};

/// How long one broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two rounds over the brokers.
const PAUSE: Duration = Duration::from_secs(2);

impl Worker {
    /// Ends when the name is known.
    pub(crate) async fn find_cluster(self: Arc<Self>) {
        loop {
            for broker in &self.config.bootstrap {
                match timeout(ANSWER_TIMEOUT, ask(broker, &self.config.security)).await {
                    Ok(Ok(Some(name))) => return drop(self.cluster_id.set(name)),
                    Ok(Ok(None)) => return,
                    Ok(Err(AskError::Answer(InquiryError::Sasl(error)))) => {
                        return tracing::error!(
                            "the worker cannot log in at broker {broker}, so the cluster's name stays unknown: \
                             {error}"
                        );
                    }
                    Ok(Err(error)) => {
                        tracing::debug!("{broker} does not name the cluster: {error}");
                    }
                    Err(_) => tracing::debug!("{broker} does not name the cluster in time"),
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
