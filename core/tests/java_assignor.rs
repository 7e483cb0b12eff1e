//! The assignor against Java's, round by round: `core/tests/golden/assignor.tsv`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_core::group::assignor::{Assignor, Generations};
use millrace_core::group::work::{TaskId, Work};

/// `A,A0,B1`: connector A, its task 0, task 1 of B.
fn work(text: &str) -> Work {
    let mut work = Work::default();
    for piece in text.split(',').filter(|piece| !piece.is_empty()) {
        match piece.split_at(1) {
            (connector, "") => work.connectors.push(connector.to_owned()),
            (connector, task) => work.tasks.push(TaskId::new(connector, task.parse().unwrap())),
        }
    }
    work
}

/// `A2,B0`: connector A with tasks 0 and 1, B without.
fn configured(text: &str) -> Work {
    let mut work = Work::default();
    for piece in text.split(',').filter(|piece| !piece.is_empty()) {
        let (connector, tasks) = piece.split_at(1);
        work.connectors.push(connector.to_owned());
        let tasks = 0..tasks.parse().unwrap();
        work.tasks.extend(tasks.map(|task| TaskId::new(connector, task)));
    }
    work
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(' ').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap())
}

#[test]
fn every_round_has_the_outcome_of_java() {
    let path = std::env::var("MILLRACE_ASSIGNOR_CORPUS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/assignor.tsv").into()
    });
    let text = std::fs::read_to_string(path).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    let start = Instant::now();
    let mut assignor = Assignor::new(Duration::ZERO);
    let mut rounds = 0;
    for (number, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, now, completed, current, topics, members, delay, shares] = columns[..] else {
            assignor = Assignor::new(Duration::from_millis(columns[1].parse().unwrap()));
            continue;
        };
        let now = start + Duration::from_millis(now.parse().unwrap());
        let generations = Generations {
            completed: completed.parse().unwrap(),
            current: current.parse().unwrap(),
        };
        let members: BTreeMap<_, _> =
            pairs(members).map(|(member, held)| (member.to_owned(), work(held))).collect();
        let got = assignor.assign(&configured(topics), generations, &members, now);
        let line = number + 1;
        assert_eq!(got.delay.as_millis().to_string(), delay, "delay in line {line}");
        for (member, share) in pairs(shares) {
            let (assigned, revoked) = share.strip_prefix('+').unwrap().split_once('-').unwrap();
            let share = &got.members[member];
            assert_eq!(share.assigned, work(assigned), "given to {member} in line {line}");
            assert_eq!(share.revoked.clone().sorted(), work(revoked), "from {member}, line {line}");
        }
        rounds += 1;
    }
    assert!(1_000 < rounds, "{rounds} rounds");
}
