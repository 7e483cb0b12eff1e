//! Two answers of REST interfaces, held against each other: status, content type, location and JSON.
//!
//! What is never compared: versions, the words of a trace, when a logger was changed, and the order of lists of names,
//! which is that of Java's hash maps. An address of the side that answers is only an address. What else is not compared
//! of an answer says its [`Difference`].

use serde_json::{Value, json};

use super::definitions;
use super::rest::Answer;

/// What of an answer is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Nothing: all of it is.
    None,
    /// The text of an error that Java's libraries word (Jackson, null pointers), or names Java's plug-ins in.
    Message,
    /// The reasons of what `config/validate` finds wrong, but for their number and what they are about.
    Reasons,
    /// The status, and the text: Java fails on the way, and the node says what is wrong with the request. Both refuse.
    Refusal,
    /// What Java has beside it: each of the node's plug-ins is one of Java's, and so is each logger that both have.
    Offered,
    /// Versions in states: a worker of Java that is about to start a connector may not know its version yet.
    Version,
}

/// An answer, and the addresses (`host:port`) of the workers of the side that gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    pub(crate) answer: &'a Answer,
    pub(crate) addresses: &'a [&'a str],
}

/// Says where the answer of the node differs from Java's.
pub(crate) fn differing(java: Of<'_>, node: Of<'_>, difference: Difference) -> Vec<String> {
    let mut left = shown(java, difference);
    let mut right = shown(node, difference);
    if difference == Difference::Offered {
        keep_shared(&mut left["body"], &mut right["body"]);
    }
    let mut places = Vec::new();
    compare(&left, &right, "", &mut places);
    places
}

/// What counts of an answer.
fn shown(of: Of<'_>, difference: Difference) -> Value {
    let Of { answer, addresses } = of;
    let mut body = answer.json().unwrap_or_else(|_| json!({ "no JSON": answer.body }));
    normalize(&mut body, addresses);
    definitions::normalize(&mut body, difference);
    if [Difference::Message, Difference::Reasons, Difference::Refusal].contains(&difference)
        && let Some(message) = body.get_mut("message")
    {
        *message = json!("not compared");
    }
    if difference == Difference::Version {
        drop_versions(&mut body);
    }
    let content_type = answer.header("content-type");
    if difference == Difference::Refusal {
        return json!({ "failed": 400 <= answer.status, "type": content_type });
    }
    json!({
        "status": answer.status,
        "type": content_type,
        "location": answer.header("location"),
        "body": body,
    })
}

fn drop_versions(status: &mut Value) {
    let (connector, tasks) = (status.get("connector").cloned(), status.get("tasks").cloned());
    let without = |mut state: Value| {
        state.as_object_mut().and_then(|state| state.remove("version"));
        state
    };
    if let (Some(connector), Some(Value::Array(tasks))) = (connector, tasks) {
        status["connector"] = without(connector);
        status["tasks"] = tasks.into_iter().map(without).collect();
    }
}

/// Drops of `java` what `node` does not have, and of maps what only one has. Nothing is not shared: it then differs.
fn keep_shared(java: &mut Value, node: &mut Value) {
    if let (Some(items), Some(others)) = (java.as_array_mut(), node.as_array()) {
        items.retain(|item| others.is_empty() || others.contains(item));
    }
    if let (Some(fields), Some(others)) = (java.as_object_mut(), node.as_object_mut())
        && fields.keys().any(|name| others.contains_key(name))
    {
        fields.retain(|name, _| others.contains_key(name));
        others.retain(|name, _| fields.contains_key(name));
    }
}

/// Says where two answers differ; a long list is named by what it holds.
fn compare(java: &Value, node: &Value, place: &str, places: &mut Vec<String>) {
    match (java, node) {
        (Value::Object(left), Value::Object(right)) if left.keys().eq(right.keys()) => {
            for (name, left) in left {
                compare(left, &node[name], &format!("{place}/{name}"), places);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                let name = left.pointer("/value/name").or(left.get("name"));
                let name = name.and_then(Value::as_str).unwrap_or_default();
                compare(left, right, &format!("{place}/{index} {name}"), places);
            }
        }
        _ if java != node => places.push(format!("  {place}\n    Java {java}\n    node {node}")),
        _ => {}
    }
}

/// Takes out what must differ: who answers, its version, and the words of a failure.
fn normalize(value: &mut Value, addresses: &[&str]) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| normalize(item, addresses));
            // The order of Java's hash maps is nobody's law.
            if items.iter().all(Value::is_string) {
                items.sort_by_key(|item| item.as_str().map(str::to_owned));
            }
            items.sort_by_key(|item| item["class"].as_str().map(str::to_owned));
        }
        Value::Object(map) => {
            let is_version = map.contains_key("kafka_cluster_id")
                || map.contains_key("class") && map.contains_key("type");
            for (name, value) in map.iter_mut() {
                let is_own = |id: &str| addresses.contains(&id);
                match name.as_str() {
                    "worker_id" if value.as_str().is_some_and(is_own) => {
                        *value = json!("a worker of this side");
                    }
                    "commit" | "trace" => *value = json!("not compared"),
                    "last_modified" if value.is_number() => *value = json!("a time"),
                    "version" if is_version => *value = json!("not compared"),
                    _ => normalize(value, addresses),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
