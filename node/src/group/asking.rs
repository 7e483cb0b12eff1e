//! The one connection that a member has at a time.

use std::time::Duration;

use millrace_core::group::question::{Answer, Question};
use millrace_core::kafka::wire::Reader;
use millrace_core::link::Address;
use tokio::time::timeout;

use crate::kafka::{Cluster, Connection, KafkaError};

/// See the module.
pub(super) struct Line {
    cluster: Cluster,
    connection: Option<Connection>,
    /// Which broker of the settings is asked next for the coordinator.
    turn: usize,
}

impl Line {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, connection: None, turn: 0 }
    }

    /// Asks the coordinator, or who that is the next broker of the settings.
    pub(super) async fn ask(
        &mut self,
        coordinator: Option<Address>,
        question: &Question,
        patience: Duration,
    ) -> Result<Answer, KafkaError> {
        let Some(broker) = coordinator.or_else(|| self.next_broker()) else {
            return std::future::pending().await; // a worker without brokers is refused by its settings
        };
        let asking = timeout(patience, self.ask_at(&broker, question, patience)).await;
        asking.unwrap_or_else(|_| {
            let request = question.api().name();
            Err(KafkaError::Silent { broker, request, after: patience })
        })
    }

    async fn ask_at(
        &mut self,
        broker: &Address,
        question: &Question,
        patience: Duration,
    ) -> Result<Answer, KafkaError> {
        let kept = self.connection.take();
        let kept = kept.filter(|kept| kept.broker() == broker && kept.is_usable());
        let connection = match kept {
            Some(kept) => kept,
            None => Connection::open(&self.cluster, broker).await?,
        };
        let connection = self.connection.insert(connection);
        let write = |out: &mut Vec<u8>| question.write(out);
        let read = |reader: &mut Reader<'_>| question.read(reader);
        connection.request(question.api(), write, read, patience).await
    }

    fn next_broker(&mut self) -> Option<Address> {
        let brokers = &self.cluster.bootstrap;
        let broker = brokers.get(self.turn.checked_rem(brokers.len())?)?;
        self.turn = self.turn.wrapping_add(1);
        Some(broker.clone())
    }
}
