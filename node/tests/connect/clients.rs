//! The calls of kcctl, kafbat-ui, Strimzi and of workers to each other: the node answers them as Java's workers do.
//!
//! ```text
//!              ┌─► two workers of Java, one group ─┐
//!  corpus ─────┤                                   ├─► status, content type, location, JSON: equal
//!              └─► two nodes, another group ───────┘
//! ```
//!
//! First two groups of Java are held against each other: what they differ in is not the node's to match. Then every
//! answer of that run is altered in all its parts, and each alteration must be seen.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::corpus::{Sequence, sequences};
use crate::group::Kind;
use crate::harness::Stage;
use crate::harness::answers::Difference;
use crate::harness::rest::Answer;
use crate::sequences::{Played, Side};
use crate::stage;

/// How often each status is asked for of each endpoint.
const COUNTS: &[(&str, &[(u16, usize)])] = &[
    ("DELETE /", &[(405, 1)]),
    ("DELETE /connectors", &[(405, 1)]),
    ("DELETE /connectors/{}", &[(204, 5), (404, 3), (409, 1)]),
    ("DELETE /connectors/{}/offsets", &[(200, 5), (400, 3), (404, 2), (409, 1)]),
    ("GET /", &[(200, 4)]),
    ("GET /admin/loggers", &[(200, 2)]),
    ("GET /admin/loggers/{}", &[(200, 4), (404, 3)]),
    ("GET /connector-plugins", &[(200, 4)]),
    ("GET /connector-plugins/{}/config", &[(200, 1), (404, 1)]),
    ("GET /connectors", &[(200, 14), (406, 1)]),
    ("GET /connectors/{}", &[(200, 4), (404, 3)]),
    ("GET /connectors/{}/config", &[(200, 5), (404, 2)]),
    ("GET /connectors/{}/fence", &[(405, 1)]),
    ("GET /connectors/{}/offsets", &[(200, 5), (404, 1)]),
    ("GET /connectors/{}/restart", &[(405, 1)]),
    ("GET /connectors/{}/status", &[(200, 6), (404, 3)]),
    ("GET /connectors/{}/tasks", &[(200, 4), (404, 1)]),
    ("GET /connectors/{}/tasks-config", &[(404, 1)]),
    ("GET /connectors/{}/tasks/{}/status", &[(200, 3), (404, 3)]),
    ("GET /connectors/{}/topics", &[(200, 7), (403, 1)]),
    ("GET /health", &[(200, 2)]),
    ("GET /nope", &[(404, 1)]),
    ("HEAD /connectors", &[(200, 1)]),
    ("PATCH /connectors/{}/config", &[(200, 1), (400, 1), (404, 2), (409, 1)]),
    ("PATCH /connectors/{}/offsets", &[(200, 3), (400, 2), (404, 1), (409, 1)]),
    ("POST /connector-plugins/{}/config/validate", &[(405, 1)]),
    ("POST /connectors", &[(201, 4), (400, 4), (409, 3), (415, 1), (500, 3)]),
    ("POST /connectors/{}/pause", &[(405, 1)]),
    ("POST /connectors/{}/restart", &[(202, 6), (204, 3), (404, 4), (409, 1)]),
    ("POST /connectors/{}/tasks", &[(204, 1), (400, 8), (403, 1), (404, 1), (409, 1)]),
    ("POST /connectors/{}/tasks/{}/restart", &[(204, 4), (404, 3)]),
    ("PUT /admin/loggers/{}", &[(200, 3), (204, 3), (400, 1), (404, 2)]),
    ("PUT /connector-plugins/{}/config/validate", &[(200, 3), (400, 1)]),
    ("PUT /connectors/{}", &[(405, 1)]),
    ("PUT /connectors/{}/config", &[(200, 5), (201, 1), (400, 4), (409, 1), (415, 1)]),
    ("PUT /connectors/{}/fence", &[(204, 1), (400, 2), (403, 1), (404, 1), (409, 1)]),
    ("PUT /connectors/{}/pause", &[(202, 4), (404, 1)]),
    ("PUT /connectors/{}/resume", &[(202, 5), (404, 1)]),
    ("PUT /connectors/{}/stop", &[(204, 4), (404, 2), (409, 1)]),
    ("PUT /connectors/{}/topics/reset", &[(202, 2), (403, 2)]),
    ("PUT /health", &[(405, 1)]),
];

#[test]
fn the_corpus_asks_for_every_endpoint_and_status() -> Result<()> {
    let mut counts: BTreeMap<String, BTreeMap<u16, usize>> = BTreeMap::new();
    for request in sequences()?.iter().flat_map(|sequence| sequence.requests()) {
        *counts.entry(request.endpoint()).or_default().entry(request.status).or_default() += 1;
    }
    let total: usize = counts.values().flat_map(BTreeMap::values).sum();
    let lines = counts.iter().map(|(endpoint, counts)| {
        let counts: Vec<_> = counts.iter().map(|count| format!("{count:?}")).collect();
        format!("    ({endpoint:?}, &[{}]),\n", counts.join(", "))
    });
    let lines: String = lines.collect();
    let expected = COUNTS.iter().map(|(endpoint, counts)| {
        ((*endpoint).to_owned(), counts.iter().copied().collect::<BTreeMap<_, _>>())
    });
    ensure!(counts == expected.collect(), "{total} requests:\n{lines}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_connect_are_answered_by_nodes_as_by_java_and_no_altered_answer_passes()
-> Result<()> {
    let (stage, _turn) = stage("clients").await?;
    no_altered_answer_passes(&play(&stage, Kind::Node, &of_all()?).await?)
}

/// What differs between two groups of Java is no difference of ours.
#[cfg(feature = "long")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_groups_of_java_answer_alike() -> Result<()> {
    let (stage, _turn) = stage("java_clients").await?;
    no_altered_answer_passes(&play(&stage, Kind::Java, &of_all()?).await?)
}

fn no_altered_answer_passes(played: &Played) -> Result<()> {
    let mut passed = Vec::new();
    let mut altered = 0;
    for exchange in &played.exchanges {
        for other in alterations(exchange.second(), exchange.difference) {
            altered += 1;
            if exchange.differing_from(&other).is_empty() {
                passed.push(format!("{:?}\n  {other:?}", exchange.ask));
            }
        }
    }
    println!("{} answers, {altered} altered ones", played.exchanges.len());
    ensure!(passed.is_empty(), "altered and not seen:\n{}", passed.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_files_forbid_something_refuse_it_as_java_does() -> Result<()> {
    let (stage, _turn) = stage("forbidden").await?;
    for sequence in sequences()?.into_iter().filter(wants_own_workers) {
        play(&stage, Kind::Node, &[sequence]).await?;
    }
    Ok(())
}

fn wants_own_workers(sequence: &Sequence) -> bool {
    sequence.workers.iter().any(|lines| !lines.is_empty())
}

/// The sequences that any group answers.
fn of_all() -> Result<Vec<Sequence>> {
    Ok(sequences()?.into_iter().filter(|sequence| !wants_own_workers(sequence)).collect())
}

/// Plays sequences to a group of Java and to one of `other`. Fails if they differ.
async fn play(stage: &Stage, other: Kind, sequences: &[Sequence]) -> Result<Played> {
    let files = &sequences.first().context("nothing to play")?.workers;
    let (java, other) = tokio::try_join!(
        Side::start(stage, "java", Kind::Java, files),
        Side::start(stage, "other", other, files)
    )?;
    let mut played = Played::default();
    let mut result = Ok(());
    for sequence in sequences {
        result = played.play(stage, sequence, [&java, &other]).await;
        if result.is_err() {
            break;
        }
    }
    let differing = played.differing.join("\n");
    ensure!(
        result.is_ok() && differing.is_empty(),
        "{result:#?}; of {} answers {} differ:\n{differing}",
        played.exchanges.len(),
        played.differing.len()
    );
    java.stop().await?;
    other.stop().await?;
    Ok(played)
}

/// The answer with another status, another content type, and other JSON.
fn alterations(answer: &Answer, difference: Difference) -> Vec<Answer> {
    let mut status = answer.clone();
    status.status = if answer.status == 200 { 201 } else { 200 };
    let mut kind = answer.clone();
    kind.headers.retain(|(name, _)| name != "content-type");
    kind.headers.push(("content-type".to_owned(), "text/html".to_owned()));
    let mut body = answer.clone();
    body.body = match answer.json() {
        Ok(Value::Object(mut fields)) => {
            let is_free = |name: &str| {
                difference != Difference::None && name == "message"
                    || ["commit", "version", "last_modified"].contains(&name)
            };
            match fields.iter_mut().find(|(name, _)| !is_free(name)) {
                Some((_, field)) => *field = json!("altered"),
                None => drop(fields.insert("altered".to_owned(), json!(true))),
            }
            Value::Object(fields).to_string()
        }
        Ok(Value::Array(mut items)) => {
            items.push(json!("altered"));
            Value::Array(items).to_string()
        }
        Ok(_) | Err(_) => "\"altered\"".to_owned(),
    };
    vec![status, kind, body]
}
