//! Whether a worker finds the coordinator of its group.
//!
//! ```text
//! group.id ─► FindCoordinator ─► the broker that keeps the group, or why there is none
//! ```
//!
//! The question is that of every consumer: a cluster without any has its topic of groups made by it.

use millrace_core::kafka::ErrorCode;
use millrace_core::kafka::api::Api;
use millrace_core::kafka::api::find_coordinator::{
    self, Coordinator, CoordinatorKey, NoCoordinator,
};

use super::finding::Finding;
use super::kafka::{ANSWER_TIMEOUT, unanswered};
use crate::kafka::{Connection, KafkaError};

type Answer = Result<Coordinator, NoCoordinator>;

/// Asks for the coordinator of `group`, and judges the answer.
pub(super) async fn check(connection: &mut Connection, group: &str) -> Finding {
    let key = CoordinatorKey::Group(group);
    let write = |out: &mut Vec<u8>| find_coordinator::write_request(out, key);
    let (api, read) = (Api::FindCoordinator, find_coordinator::read_answer);
    let answer: Result<Answer, KafkaError> =
        connection.request(api, write, read, ANSWER_TIMEOUT).await;
    match answer {
        Ok(answer) => judge(group, &answer),
        Err(error) => unanswered(title(group), &error),
    }
}

pub(super) fn title(group: &str) -> String {
    format!("group {group}")
}

fn judge(group: &str, answer: &Answer) -> Finding {
    let check = title(group);
    let NoCoordinator { error, message } = match answer {
        Ok(coordinator) => {
            return Finding::ok(check, format!("broker {} keeps it", coordinator.address));
        }
        Err(none) => none,
    };
    let said = message.as_ref().map_or_else(String::new, |message| format!(" ({message})"));
    let seen = format!("no coordinator: {error}{said}");
    match *error {
        ErrorCode::GROUP_AUTHORIZATION_FAILED => {
            let remedy = format!(
                "give the user Read on the group: kafka-acls --add --allow-principal User:… --operation Read \
                 --group {group}"
            );
            Finding::failure(check, seen, remedy)
        }
        ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {
            let remedy = "it is looked for until there is one; if that lasts, see whether the brokers can make \
                          __consumer_offsets (offsets.topic.replication.factor) and whether its partitions have \
                          leaders";
            Finding::warning(check, seen, remedy)
        }
        _ => Finding::failure(check, seen, "see what the brokers log about this group"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome;
    use super::*;

    #[test]
    fn a_group_that_may_not_be_joined_fails_and_one_that_is_just_made_does_not() {
        let judged = |error| judge("g", &Err(NoCoordinator { error, message: None })).outcome;
        let Outcome::Failure { remedy, .. } = judged(ErrorCode::GROUP_AUTHORIZATION_FAILED) else {
            panic!()
        };
        assert!(remedy.ends_with("--operation Read --group g"), "{remedy}");
        let passing = judged(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert!(matches!(passing, Outcome::Warning { .. }));
        assert!(matches!(judged(ErrorCode(42)), Outcome::Failure { .. }));
    }
}
