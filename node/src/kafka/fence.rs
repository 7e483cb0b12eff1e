//! Shuts out producers of transactions that ran before, and ends what they have open (`Admin.fenceProducers`).
//!
//! ```text
//!  transactional id ──► its coordinator: InitProducerId ──► whoever had the id before is refused from now on
//! ```

use std::time::Duration;

use millrace_core::kafka::api::find_coordinator::CoordinatorKey;
use millrace_core::kafka::api::{Api, init_producer_id};

use super::client::{Client, Question, To};
use super::error::KafkaError;

/// How long a transaction of the new producer could last. It has none.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Fences one id after the other.
///
/// # Errors
/// At the first that cannot be fenced: what does not pass, or lasts.
pub(crate) async fn fence_producers(
    client: &mut Client,
    transactional_ids: &[String],
) -> Result<(), KafkaError> {
    let timeout_ms = i32::try_from(TRANSACTION_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
    for id in transactional_ids {
        let to = To::Coordinator(CoordinatorKey::Transaction(id));
        let about = &format!("transactional id {id}");
        let write =
            |out: &mut Vec<u8>| init_producer_id::write_fencing_request(out, id, timeout_ms);
        let question = Question { api: Api::InitProducerId, to, about };
        client.ask(question, write, init_producer_id::read_answer).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use millrace_core::kafka::ErrorCode;

    use super::*;
    use crate::kafka::scripted_broker::{Fault, ScriptedBroker};

    #[tokio::test]
    async fn every_id_is_fenced_though_its_coordinator_is_busy_at_first() {
        let broker = ScriptedBroker::start("t", 1).await;
        let refused = Fault::Refused;
        broker.fail(Api::FindCoordinator, &[refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)]);
        broker.fail(Api::InitProducerId, &[refused(ErrorCode::CONCURRENT_TRANSACTIONS)]);
        let ids = ["connect-cluster-orders-0", "connect-cluster-orders-1"].map(str::to_owned);
        fence_producers(&mut Client::new(broker.cluster()), &ids).await.unwrap();
        assert_eq!(broker.state().fenced, ids);
    }

    #[tokio::test]
    async fn id_that_may_not_be_used_is_named() {
        let broker = ScriptedBroker::start("t", 1).await;
        let error = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        broker.fail(Api::InitProducerId, &[Fault::Refused(error)]);
        let ids = ["connect-cluster-orders-0".to_owned()];
        let error = fence_producers(&mut Client::new(broker.cluster()), &ids).await.unwrap_err();
        for part in ["InitProducerId", "connect-cluster-orders-0", "TRANSACTIONAL_ID", "allow"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
