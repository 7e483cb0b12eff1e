//! What is wrong with a configuration file.
//!
//! A [`Problem`] is one property; its text is Java's (`Invalid value <v> for configuration <name>:
//! <reason>`), so that what people search for is found. Values of secret properties are shown as
//! `[hidden]`, also where Java prints them.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use millrace_core::java_pattern::PatternError;
use millrace_core::route::MapError;
use thiserror::Error;

use super::basic_auth::BasicError;
use super::extended_json::JsonError;
use super::jaas::JaasError;
use super::key_store::KeyStoreError;
use super::mongo_uri::UriError;
use super::providers::{Concealed, ProviderError};
use super::response_headers::RuleError;

/// What is said instead of a reason that could quote what a provider has filled in.
const WITHHELD: &str = "what the placeholder stands for cannot be used here; why is not said, since it could quote \
                        a secret: look at the value where it is kept";

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration file {} failed: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is no properties file and no JSON.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong there.
        reason: Malformed,
    },
    /// The file can be read, but what it says cannot be run.
    #[error(
        "{}: {subject} configuration is invalid and contains the following {} error(s):\n{}",
        path.display(),
        problems.len(),
        Lines(problems)
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the file configures.
        subject: Subject,
        /// Everything that is wrong, in the order of the tables.
        problems: Vec<Problem>,
    },
}

/// What a file configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A connector.
    Connector,
    /// The worker.
    Worker,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connector => "Connector",
            Self::Worker => "Worker",
        })
    }
}

/// What is wrong with the form of a file.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Java's words for a `\u` that is not followed by four hex digits.
    #[error("Malformed \\uxxxx encoding.")]
    UnicodeEscape,
    /// Half of a surrogate pair stands alone.
    #[error("\\u{0:04x} is half of a surrogate pair; write both halves")]
    LoneSurrogate(u16),
    /// JSON that does not parse, or not into a connector.
    #[error(
        "{0}; a connector file holds {{\"name\": …, \"config\": {{…}}}} or one flat object of \
         properties"
    )]
    Json(String),
}

/// One property that cannot be used.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    /// The property, as the file writes it.
    pub(crate) name: String,
    /// Its value; `None` where the property is missing.
    pub(crate) value: Option<Shown>,
    /// Why not.
    pub(crate) reason: Reason,
}

impl Problem {
    /// What a server answered to the value of `name`, or that none did.
    pub(crate) fn of_server(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), value: None, reason: Reason::OfServer(text) }
    }

    /// Takes out of its text what providers have filled in.
    pub(super) fn conceal(&mut self, concealed: &Concealed) {
        let given = concealed.given(&self.name);
        if let Some(Shown::Text(text)) = &mut self.value {
            *text =
                given.map_or_else(|| concealed.without_secrets(text).into_owned(), str::to_owned);
        }
        if given.is_some() && self.reason.quotes_value() {
            self.reason = Reason::Concealed(WITHHELD.to_owned());
        }
        if let Cow::Owned(safe) = concealed.without_secrets(&self.name) {
            self.name = safe;
        }
        let text = self.reason.to_string();
        if let Cow::Owned(safe) = concealed.without_secrets(&text) {
            self.reason = Reason::Concealed(safe);
        }
    }

    /// The text, with another name for the property.
    pub(super) fn text_about(&self, name: &str) -> String {
        let Self { value, reason, .. } = self;
        match value {
            Some(value) => format!("Invalid value {value} for configuration {name}: {reason}"),
            None => reason.to_string(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text_about(&self.name))
    }
}

/// A value as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As the file writes it.
    Text(String),
    /// A secret.
    Hidden,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Hidden => f.write_str("[hidden]"),
        }
    }
}

/// Why a value cannot be used. The first group has Java's words.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum Reason {
    /// `null`, where only JSON can say that.
    #[error("Null value can not be supplied as the configuration value.")]
    NullSupplied,
    /// A required property is not there.
    #[error("Missing required configuration \"{0}\" which has no default value.")]
    Missing(String),
    /// No number, or one that does not fit.
    #[error("Not a number of type {0}")]
    NotANumber(&'static str),
    /// No value where a number is wanted; Java says so of text that is no number, too.
    #[error("Value must be non-null")]
    Null,
    /// Neither `true` nor `false`.
    #[error("Expected value to be either true or false")]
    NotBoolean,
    /// Below the least value.
    #[error("Value must be at least {0}")]
    BelowMin(i64),
    /// Above the largest value.
    #[error("Value must be no more than {0}")]
    AboveMax(i64),
    /// Outside a range, and not the one value beside it.
    #[error("Value must be between {min} and {max} or equal to {or}")]
    NotBetween { min: i64, max: i64, or: i64 },
    /// Not in the list.
    #[error("Invalid enumerator value. Should be one of: [{}]", .0.join(", "))]
    NotOneOf(&'static [&'static str]),
    /// Not in the list, where Kafka itself checks.
    #[error("String must be one of: {}", .0.join(", "))]
    NotOneOfStrings(&'static [&'static str]),
    /// Not in the list, where Kafka itself checks and any case will do.
    #[error("String must be one of (case insensitive): {}", .0.join(", "))]
    NotOneOfStringsAnyCase(&'static [&'static str]),
    /// An alias of transformations or predicates that is there twice.
    #[error("Duplicate alias provided.")]
    DuplicateAlias,
    /// A class that is not in Connect's box, and so nowhere.
    #[error("Class {0} could not be found.")]
    ClassNotFound(String),
    /// A class that has to be used for the key or for the value.
    #[error("This class is abstract and cannot be created. Did you mean {0}$Key, {0}$Value?")]
    AbstractClass(String),
    /// A list with nothing in it.
    #[error("Empty list")]
    EmptyList,
    /// Empty where text is needed.
    #[error("String must be non-empty")]
    Empty,
    /// A connector's name that is empty.
    #[error("String may not be empty")]
    NoName,
    /// A connector's name with line breaks or the like.
    #[error(
        "String may not contain control sequences but had the following ASCII chars: {}",
        .0.join(", ")
    )]
    ControlCharacters(Vec<String>),
    /// `collection` without `database`.
    #[error("Missing database configuration `database`")]
    DatabaseMissing,
    /// No start time in any of the three notations.
    #[error(
        "Must be either an integer number of seconds since the Epoch in the decimal format \
         (example: 30), or an instant in the ISO-8601 format with one second precision (example: \
         '1970-01-01T00:00:30Z'), or a BSON Timestamp in the canonical extended JSON (v2) format \
         (example: '{{\"$timestamp\": {{\"t\": 30, \"i\": 0}}}}')."
    )]
    NotAnOperationTime,
    /// Neither positive nor -1.
    #[error("{0} must be positive, or -1 to use the broker's default")]
    NotACount(&'static str),
    /// The pipeline is no array of stages.
    #[error("Not a valid JSON array: {0}")]
    NotAPipeline(JsonError),
    /// No regular expression, or one with more than is understood here.
    #[error("Invalid regex: {0}")]
    NotARegex(PatternError),
    /// A store of certificates or keys is of no use.
    #[error("{0}")]
    KeyStore(KeyStoreError),
    /// `sasl.jaas.config` names no login module.
    #[error(transparent)]
    Jaas(JaasError),
    /// Nobody could log in that way.
    #[error("{0}")]
    Login(String),
    /// What the stores hold makes no TLS client.
    #[error("{0}")]
    Tls(String),
    /// No document where one is wanted.
    #[error("Not a valid JSON document: {0}")]
    NotADocument(JsonError),
    /// A topic of the namespace map is no text.
    #[error("All values must be strings")]
    NotAllTexts,
    /// A key or a value of the namespace map.
    #[error(transparent)]
    NamespaceMap(MapError),
    /// A field of a collation.
    #[error("{0}")]
    Collation(String),
    /// A version of the Stable API that there is not.
    #[error("Unsupported server API version: {0}")]
    ServerApiVersion(String),
    /// The connection string is wrong, or asks for what we cannot do.
    #[error(transparent)]
    Uri(UriError),
    /// No address to listen on. Java's words.
    #[error("Listener doesn't have the right format (protocol://hostname:port).")]
    NotAListener,
    /// No rule for a header of answers.
    #[error(transparent)]
    HeaderRule(RuleError),
    /// Nobody could log in to the REST interface.
    #[error(transparent)]
    Basic(BasicError),
    /// Another protocol than HTTP. Java's words.
    #[error("Listener protocol must be either \"http\" or \"https\".")]
    ListenerProtocol,
    /// No broker address.
    #[error("'{0}' is no broker address; write host:port, several separated by commas")]
    NotAnAddress(String),
    /// No config provider that there is. Java's words, and the remedy.
    #[error(
        "Could not load config provider class or one of its dependencies; there are FileConfigProvider, \
         DirectoryConfigProvider and EnvVarConfigProvider"
    )]
    NoProviderClass,
    /// A config provider cannot say what it has.
    #[error(transparent)]
    Provider(ProviderError),
    /// The worker does not let connectors decide this. Java's words.
    #[error(
        "The '{policy}' policy does not allow '{setting}' to be overridden in the connector configuration."
    )]
    OverrideNotAllowed { policy: &'static str, setting: String },
    /// Another reason, without what a config provider has filled in.
    #[error("{0}")]
    Concealed(String),
    /// Java knows it, we do not support it yet.
    #[error("not supported by this version: {0}")]
    NotYet(&'static str),
    /// Nobody knows it, and `--strict` is on.
    #[error("unknown property{}", DidYouMean(.0))]
    Unknown(Option<String>),
    /// What a server answered, or that none did.
    #[error("{0}")]
    OfServer(String),
    /// It contradicts another property.
    #[error("{0}")]
    Conflict(String),
}

impl Reason {
    /// Whether its text may quote a piece of the value. Reasons about passwords never do.
    fn quotes_value(&self) -> bool {
        match self {
            Self::ClassNotFound(_)
            | Self::AbstractClass(_)
            | Self::ControlCharacters(_)
            | Self::NotAPipeline(_)
            | Self::NotARegex(_)
            | Self::NotADocument(_)
            | Self::NamespaceMap(_)
            | Self::Collation(_)
            | Self::ServerApiVersion(_)
            | Self::NotAnAddress(_)
            | Self::HeaderRule(_)
            | Self::Basic(_)
            | Self::Conflict(_) => true,
            Self::Uri(error) => error.quotes_string(),
            Self::NullSupplied
            | Self::Missing(_)
            | Self::NotANumber(_)
            | Self::Null
            | Self::NotBoolean
            | Self::BelowMin(_)
            | Self::AboveMax(_)
            | Self::NotBetween { .. }
            | Self::NotOneOf(_)
            | Self::NotOneOfStrings(_)
            | Self::NotOneOfStringsAnyCase(_)
            | Self::DuplicateAlias
            | Self::EmptyList
            | Self::Empty
            | Self::NoName
            | Self::DatabaseMissing
            | Self::NotAnOperationTime
            | Self::NotACount(_)
            | Self::KeyStore(_)
            | Self::Jaas(_)
            | Self::Login(_)
            | Self::Tls(_)
            | Self::NotAllTexts
            | Self::NotAListener
            | Self::ListenerProtocol
            | Self::NoProviderClass
            | Self::Provider(_)
            | Self::OverrideNotAllowed { .. }
            | Self::Concealed(_)
            | Self::NotYet(_)
            | Self::Unknown(_)
            | Self::OfServer(_) => false,
        }
    }
}

/// The tail of a message that names a likely spelling.
struct DidYouMean<'a>(&'a Option<String>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean '{name}'?"),
            None => Ok(()),
        }
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}  {problem}")?;
        }
        Ok(())
    }
}
