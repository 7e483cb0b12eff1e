//! The file of call sequences, `fixtures/connect-corpus.json`: who asks what, and what status Java's worker answers.
//!
//! ```text
//! sequence = client, whose source it follows, headers of every request, lines of the workers' files, steps
//! step     = ask    "METHOD /path", the status, a body or text, more headers, who is asked, what may differ, signed
//!          | until  a path, asked of every worker until its states or its text or its status is this, maybe while
//!                   documents are written into the watched collection
//! ```
//!
//! `$name`, `$uri`, `$database` and `$topic` stand for what a run chooses; `"$config"` is a whole configuration, and
//! `{"$config": {…}}` one with changes. JSON is sent with its content type.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::harness::answers::Difference;
use crate::harness::reference::fixture;
use crate::harness::rest::Ask;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sequence {
    pub(crate) client: String,
    /// Whose source the calls follow.
    #[serde(rename = "follows")]
    _follows: String,
    headers: BTreeMap<String, String>,
    /// Lines of the files of the two workers of the group, where the sequence wants any.
    #[serde(default)]
    pub(crate) workers: [BTreeMap<String, String>; 2],
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    Ask(Request),
    Until(Until),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    ask: String,
    pub(crate) status: u16,
    body: Option<Value>,
    text: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) at: Place,
    #[serde(default)]
    pub(crate) differs: Differs,
    /// As workers of the same group sign.
    #[serde(default)]
    pub(crate) signed: bool,
}

/// Who of a group is asked.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// Who came first.
    #[default]
    Leader,
    Follower,
}

/// [`Difference`] by its name in the file.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Differs {
    #[default]
    Nothing,
    Message,
    Offered,
    Version,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Until {
    #[serde(rename = "until")]
    pub(crate) path: String,
    /// Of the connector and of each of its tasks.
    states: Option<Vec<String>>,
    holds: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    pub(crate) writing: bool,
}

/// What stands for the words with a `$`.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) words: Vec<(&'static str, String)>,
    pub(crate) config: Map<String, Value>,
}

pub(crate) fn sequences() -> Result<Vec<Sequence>> {
    serde_json::from_str(&fixture("connect-corpus.json")?).context("connect-corpus.json")
}

impl Sequence {
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.steps.iter().filter_map(|step| match step {
            Step::Ask(request) => Some(request),
            Step::Until(_) => None,
        })
    }

    /// What this client sends for `request`.
    pub(crate) fn ask(&self, request: &Request, setting: &Setting) -> Result<Ask> {
        let (method, path) = request.ask.split_once(' ').context("no method and path")?;
        let mut headers = self.headers.clone();
        headers.extend(request.headers.clone());
        let mut ask = Ask::new(method, &setting.text(path));
        if let Some(body) = &request.body {
            ask.body = setting.value(body).to_string();
            headers.entry("Content-Type".to_owned()).or_insert("application/json".to_owned());
        } else if let Some(text) = &request.text {
            ask.body.clone_from(text);
        }
        Ok(headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value)))
    }
}

impl Request {
    pub(crate) fn difference(&self) -> Difference {
        match self.differs {
            Differs::Nothing => Difference::None,
            Differs::Message => Difference::Message,
            Differs::Offered => Difference::Offered,
            Differs::Version => Difference::Version,
        }
    }

    /// Its method and the form of its path: `GET /connectors/{}/status`.
    pub(crate) fn endpoint(&self) -> String {
        let path = self.ask.split('?').next().unwrap_or_default();
        let mut form = Vec::new();
        for part in path.trim_end_matches('/').split('/') {
            let is_name = |before: &&str| {
                ["connectors", "connector-plugins", "loggers"].contains(before)
                    || *before == "tasks" && part.len() == 1
            };
            form.push(if form.last().is_some_and(is_name) { "{}" } else { part });
        }
        if form.len() == 1 { format!("{}/", form[0]) } else { form.join("/") }
    }
}

impl Until {
    /// Whether an answer is what is waited for.
    pub(crate) fn is_met(&self, status: u16, body: &str, setting: &Setting) -> bool {
        if self.status.is_some_and(|wanted| wanted != status) {
            return false;
        }
        if self.holds.as_ref().is_some_and(|text| !body.contains(&setting.text(text))) {
            return false;
        }
        self.states.as_ref().is_none_or(|wanted| states(body).is_ok_and(|states| states == *wanted))
    }
}

/// The states of a connector and of its tasks.
fn states(body: &str) -> Result<Vec<String>> {
    let status: Value = serde_json::from_str(body)?;
    let tasks = status["tasks"].as_array().context("no tasks")?;
    let parts = [&status["connector"]].into_iter().chain(tasks);
    Ok(parts.filter_map(|part| part["state"].as_str()).map(str::to_owned).collect())
}

impl Setting {
    pub(crate) fn text(&self, text: &str) -> String {
        self.words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "$config" => Value::Object(self.config.clone()),
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let mut filled = Map::new();
                for (name, value) in fields {
                    match (name.as_str(), self.value(value)) {
                        ("$config", Value::Object(changes)) => {
                            filled.extend(self.config.clone());
                            filled.extend(changes);
                        }
                        (_, value) => drop(filled.insert(self.text(name), value)),
                    }
                }
                Value::Object(filled)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}
