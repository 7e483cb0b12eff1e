//! A connector file: `.properties`, the JSON that one POSTs, or one flat JSON object.
//!
//! ```text
//! name=c            {"name": "c", "config": {"tasks.max": 1}}       {"name": "c", "tasks.max": 1}
//! tasks.max=1       optional: "initial_state": "RUNNING"
//! ```
//!
//! Connect's standalone worker takes all three and looks at the content, not at the file's name
//! (`connect/cli/ConnectStandalone.java`). Numbers and booleans become text, as Connect does it.
//! What the properties mean is not checked here.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::error::{ConfigError, Malformed, Problem, Reason, Shown, Subject};
use super::properties::{self, Properties};
use super::report::{Notice, Severity};

/// What a connector is meant to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// Run.
    #[default]
    Started,
    /// Keep its task, and do nothing.
    Paused,
    /// Have no task.
    Stopped,
}

impl TargetState {
    const NAMES: &[&str] = &["RUNNING", "PAUSED", "STOPPED"];

    /// Reads `initial_state`, in any case, as Connect does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let states = [Self::Started, Self::Paused, Self::Stopped];
        let index = Self::NAMES.iter().position(|name| name.eq_ignore_ascii_case(text))?;
        states.get(index).copied()
    }
}

/// A connector as its file states it.
#[derive(Debug)]
pub(crate) struct ConnectorFile {
    /// The file, or what a log should call it.
    pub(crate) path: PathBuf,
    /// The connector's name, not empty.
    pub(crate) name: String,
    /// All properties, `name` among them. May hold secrets.
    pub(crate) properties: BTreeMap<String, String>,
    /// What it is meant to do at first.
    pub(crate) initial_state: TargetState,
    /// What the log should say about the file's form.
    pub(crate) notices: Vec<Notice>,
}

impl ConnectorFile {
    /// A connector that came over the REST interface. `name` is among the `properties`.
    pub(crate) fn posted(name: &str, properties: BTreeMap<String, String>) -> Self {
        Self {
            path: PathBuf::from(format!("connector {name}")),
            name: name.to_owned(),
            properties,
            initial_state: TargetState::Started,
            notices: Vec::new(),
        }
    }

    /// The same connector with other properties, and nothing to say about its form.
    pub(super) fn with_properties(&self, properties: BTreeMap<String, String>) -> Self {
        let Self { path, name, initial_state, .. } = self;
        let (path, name) = (path.clone(), name.clone());
        Self { path, name, properties, initial_state: *initial_state, notices: Vec::new() }
    }

    /// Reads and parses the file.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &read_file(path)?)
    }

    /// Parses the content of the file at `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut notices = Vec::new();
        let (properties, initial_state) = if bytes.trim_ascii_start().first() == Some(&b'{')
            || path.extension().is_some_and(|extension| extension == "json")
        {
            json_properties(path, bytes)?
        } else {
            (properties_of_text(path, bytes, &mut notices)?, TargetState::Started)
        };
        match properties.get("name").map(|name| name.trim()) {
            None => Err(invalid(path, None, Reason::Missing("name".to_owned()))),
            Some("") => Err(invalid(path, Some(""), Reason::NoName)),
            Some(name) => Ok(Self {
                path: path.to_owned(),
                name: name.to_owned(),
                properties,
                initial_state,
                notices,
            }),
        }
    }
}

/// Reads a file whole.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })
}

/// The entries of a `.properties` text; the last of doubled keys counts, as in Java, and is noted.
pub(super) fn properties_of_text(
    path: &Path,
    bytes: &[u8],
    notices: &mut Vec<Notice>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let Properties { entries, has_utf8 } = properties::parse(bytes).map_err(|at| {
        let properties::At { line, column, reason } = at;
        ConfigError::Malformed { path: path.to_owned(), line, column, reason }
    })?;
    if has_utf8 {
        let text = format!(
            "{} holds UTF-8 text; Kafka Connect reads it as ISO-8859-1, \\uXXXX means the same in \
             both",
            path.display()
        );
        notices.push(Notice { severity: Severity::Warning, text });
    }
    let mut properties = BTreeMap::new();
    for entry in entries {
        if properties.contains_key(&entry.key) {
            let (path, key, line) = (path.display(), &entry.key, entry.line);
            let text = format!("{path} gives '{key}' more than once; line {line} counts");
            notices.push(Notice { severity: Severity::Warning, text });
        }
        properties.insert(entry.key, entry.value);
    }
    Ok(properties)
}

fn json_properties(
    path: &Path,
    bytes: &[u8],
) -> Result<(BTreeMap<String, String>, TargetState), ConfigError> {
    let malformed = |error: serde_json::Error| ConfigError::Malformed {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        reason: Malformed::Json(without_place(&error)),
    };
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(malformed)?;
    if json.get("config").is_some_and(serde_json::Value::is_object) {
        let posted: Posted = serde_json::from_slice(bytes).map_err(malformed)?;
        return posted.into_properties(path);
    }
    let flat: BTreeMap<String, PropertyText> = serde_json::from_slice(bytes).map_err(malformed)?;
    Ok((into_texts(flat), TargetState::Started))
}

/// The message of serde_json without its own `at line 1 column 2`.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// The body of `POST /connectors`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    name: Option<PropertyText>,
    config: BTreeMap<String, PropertyText>,
    initial_state: Option<PropertyText>,
}

impl Posted {
    fn into_properties(
        self,
        path: &Path,
    ) -> Result<(BTreeMap<String, String>, TargetState), ConfigError> {
        let mut properties = into_texts(self.config);
        let state = match self.initial_state {
            None => TargetState::Started,
            Some(PropertyText(text)) => TargetState::parse(&text).ok_or_else(|| {
                let reason = Reason::NotOneOfStrings(TargetState::NAMES);
                let value = Some(Shown::Text(text));
                refused(path, Problem { name: "initial_state".to_owned(), value, reason })
            })?,
        };
        if let Some(PropertyText(outer)) = self.name {
            match properties.get("name") {
                Some(inner) if *inner != outer => {
                    let text = "Connector name configuration in 'config' doesn't match the one \
                                specified in 'name'";
                    return Err(invalid(path, Some(inner), Reason::Conflict(text.to_owned())));
                }
                Some(_) => {}
                None => {
                    properties.insert("name".to_owned(), outer);
                }
            }
        }
        Ok((properties, state))
    }
}

fn into_texts(map: BTreeMap<String, PropertyText>) -> BTreeMap<String, String> {
    map.into_iter().map(|(name, PropertyText(text))| (name, text)).collect()
}

fn invalid(path: &Path, name: Option<&str>, reason: Reason) -> ConfigError {
    let value = name.map(|name| Shown::Text(name.to_owned()));
    refused(path, Problem { name: "name".to_owned(), value, reason })
}

fn refused(path: &Path, problem: Problem) -> ConfigError {
    let (path, subject) = (path.to_owned(), Subject::Connector);
    ConfigError::Invalid { path, subject, problems: vec![problem] }
}

/// A JSON scalar as the text of a property.
struct PropertyText(String);

impl<'de> Deserialize<'de> for PropertyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = PropertyText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number or a boolean")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<PropertyText, E> {
        Ok(PropertyText(value.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<PropertyText, E> {
        Ok(PropertyText(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<PropertyText, E> {
        Ok(PropertyText(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<PropertyText, E> {
        Ok(PropertyText(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<PropertyText, E> {
        match serde_json::Number::from_f64(value) {
            Some(number) => Ok(PropertyText(number.to_string())),
            None => Err(E::custom("a number that is out of range")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, text: &str) -> Result<ConnectorFile, ConfigError> {
        ConnectorFile::parse(Path::new(name), text.as_bytes())
    }

    fn error(name: &str, text: &str) -> String {
        parse(name, text).unwrap_err().to_string()
    }

    #[test]
    fn all_three_forms_say_the_same() {
        let texts = [
            "name=c\ntasks.max=1\ncopy.existing=false\nx=1.5",
            r#"{"name":"c","config":{"tasks.max":1,"copy.existing":false,"x":1.5}}"#,
            r#" {"name":"c","tasks.max":"1","copy.existing":"false","x":"1.5"}"#,
            r#"{"config":{"name":"c","tasks.max":1,"copy.existing":false,"x":1.5}}"#,
        ];
        let read = texts.map(|text| parse("connector", text).unwrap());
        for file in &read {
            assert_eq!(file.name, "c");
            assert_eq!(file.properties, read[0].properties);
            assert_eq!(file.notices, []);
        }
        assert_eq!(read[0].properties.len(), 4);
    }

    #[test]
    fn form_is_told_by_content_not_by_name() {
        assert_eq!(parse("c.properties", r#"{"name":"c"}"#).unwrap().name, "c");
        assert!(error("c.json", "name=c").starts_with("c.json:1:2: expected ident"));
    }

    #[test]
    fn malformed_json_is_named_by_line_and_column() {
        assert_eq!(
            error("c.json", "{\n  \"name\": \"c\",\n  \"config\": {\"a\": }\n}"),
            "c.json:3:19: expected value; a connector file holds {\"name\": …, \"config\": {…}} or \
             one flat object of properties"
        );
        assert!(error("c.json", "{\"name\": \"c\",\n\"config\": {\"a\": [1]}}").starts_with(
            "c.json:2:17: invalid type: sequence, expected text, a number or a boolean"
        ));
        assert!(
            error("c.json", "{\"name\": \"c\", \"a\": null}")
                .starts_with("c.json:1:23: invalid type: null")
        );
        assert!(
            error("c.json", "{\"name\": \"c\", \"conf\": {}}")
                .starts_with("c.json:1:24: invalid type: map")
        );
        assert!(
            error("c.json", "{\"nam\": \"c\", \"config\": {}}")
                .starts_with("c.json:1:6: unknown field `nam`")
        );
        assert!(error("c.json", "[]").starts_with("c.json:1:0: invalid type: sequence"));
        assert!(error("c.json", "").starts_with("c.json:1:0: EOF"));
    }

    #[test]
    fn malformed_properties_are_named_by_line_and_column() {
        assert_eq!(
            error("c.properties", "name=c\na=\\uXY"),
            "c.properties:2:3: Malformed \\uxxxx encoding."
        );
    }

    #[test]
    fn connector_without_a_name_is_refused() {
        for text in ["", "a=b", "{\"config\":{}}", "{\"a\":1}"] {
            assert_eq!(
                error("c", text),
                "c: Connector configuration is invalid and contains the following 1 error(s):\n  \
                 Missing required configuration \"name\" which has no default value."
            );
        }
        assert!(
            error("c", "name= ")
                .ends_with("Invalid value  for configuration name: String may not be empty")
        );
    }

    #[test]
    fn two_names_must_be_the_same() {
        let same = r#"{"name":"c","config":{"name":"c"}}"#;
        assert_eq!(parse("c", same).unwrap().name, "c");
        assert!(error("c", r#"{"name":"c","config":{"name":"d"}}"#).ends_with(
            "Invalid value d for configuration name: Connector name configuration in 'config' \
             doesn't match the one specified in 'name'"
        ));
    }

    #[test]
    fn initial_state_is_one_of_three_in_any_case() {
        let state = |text: &str| {
            let text = format!(r#"{{"name":"c","config":{{}},"initial_state":"{text}"}}"#);
            parse("c", &text).map(|file| file.initial_state)
        };
        assert_eq!(state("RUNNING").unwrap(), TargetState::Started);
        assert_eq!(state("paused").unwrap(), TargetState::Paused);
        assert_eq!(state("Stopped").unwrap(), TargetState::Stopped);
        assert!(state("FAILED").unwrap_err().to_string().ends_with(
            "Invalid value FAILED for configuration initial_state: String must be one of: RUNNING, \
             PAUSED, STOPPED"
        ));
        assert_eq!(parse("c", "name=c").unwrap().initial_state, TargetState::Started);
    }

    #[test]
    fn doubled_keys_and_utf8_are_noted() {
        let file = parse("c", "name=c\na=1\na=ü").unwrap();
        assert_eq!(file.properties["a"], "ü");
        assert!(file.notices[0].text.contains("ISO-8859-1"));
        assert_eq!(file.notices[1].text, "c gives 'a' more than once; line 3 counts");
    }

    #[test]
    fn missing_file_is_named() {
        let error = ConnectorFile::read(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(
            error.starts_with("reading the configuration file /no/such/file failed: No such file")
        );
    }
}
