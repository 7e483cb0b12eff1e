//! Config providers (KIP-297): values that stand elsewhere than in the configuration.
//!
//! ```text
//! worker's file      config.providers=file          connection.uri=${file:/run/secrets/db.properties:uri}
//!                    config.providers.file.class=…          │ as it is given: stored, shown, compared
//!                              ▼                            ▼
//!                          Providers ──────── resolve ── Resolved: what is checked and run, never shown
//! ```
//!
//! The rules are those of Java's `ConfigTransformer`: a placeholder of a provider that there is not, and one of a key
//! that there is not, stay as they are; what was filled in is not looked through again. Here both are said in the log.
//!
//! * [`placeholder`] where placeholders are
//! * [`file`], [`directory`], [`environment`] who fills them
//! * [`allowed_paths`] where they may look
//! * [`concealed`] that nothing of it is shown

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::error::{Problem, Reason, Shown};
use super::report::Report;

mod allowed_paths;
mod bounded_file;
mod concealed;
mod directory;
mod environment;
mod file;
mod placeholder;

pub(crate) use concealed::Concealed;

use allowed_paths::AllowedPaths;
use environment::Environment;
use placeholder::{Piece, pieces, placeholders};

/// The property that names the providers; their own properties begin like it.
const PROVIDERS: &str = "config.providers";
/// The package of Java's providers.
const PACKAGE: &str = "org.apache.kafka.common.config.provider.";
const ALLOWED_PATHS: &str = "allowed.paths";
const ALLOWLIST_PATTERN: &str = "allowlist.pattern";

/// The providers of a worker by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Providers(BTreeMap<String, Provider>);

#[derive(Clone, Debug)]
enum Provider {
    File(AllowedPaths),
    Directory(AllowedPaths),
    Environment(Environment),
}

/// What a provider has under one path.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    values: BTreeMap<String, String>,
    /// Why there is less than was asked for.
    warning: Option<String>,
}

impl Found {
    fn not_allowed(path: &str) -> Self {
        let warning = Some(format!("The path {path} is not allowed to be accessed"));
        Self { values: BTreeMap::new(), warning }
    }
}

/// Why a provider cannot say what it has. Java's words, and the reason.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ProviderError {
    #[error("Could not read properties from file {path}: {reason}")]
    File { path: String, reason: String },
    #[error("Could not read file {path} for property {key}: {error}")]
    FileOfKey { path: String, key: String, error: String },
    #[error("Path is not supported for EnvVarConfigProvider, invalid value '{0}'")]
    PathOfVariable(String),
}

/// A configuration with every placeholder filled that could be.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The properties to check and to run with. May hold secrets.
    pub(super) properties: BTreeMap<String, String>,
    /// What must not be shown of them.
    pub(super) concealed: Concealed,
    /// What the log should say.
    pub(super) warnings: Vec<String>,
}

impl Providers {
    /// The providers that a worker's file names; `None` if a problem was reported.
    pub(super) fn new(given: &BTreeMap<String, String>, report: &mut Report) -> Option<Self> {
        let names = given.get(PROVIDERS).map_or("", String::as_str).split(',').map(str::trim);
        let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
        let mut providers = Some(BTreeMap::new());
        for name in &names {
            let provider = Provider::new(&format!("{PROVIDERS}.{name}"), given, report);
            match (provider, &mut providers) {
                (Some(provider), Some(all)) => drop(all.insert((*name).to_owned(), provider)),
                (None, _) => providers = None,
                (Some(_), None) => {}
            }
        }
        for property in given.keys() {
            let Some(tail) = property.strip_prefix("config.providers.") else { continue };
            let is_of = |name: &&str| {
                let setting = tail.strip_prefix(*name).and_then(|tail| tail.strip_prefix('.'));
                setting.is_some_and(|setting| setting == "class" || setting.starts_with("param."))
            };
            if !names.iter().any(is_of) {
                report.unknown(property, None);
            }
        }
        providers.map(Self)
    }

    /// Whether a value has a placeholder for one of the providers.
    pub(super) fn may_fill(&self, value: &str) -> bool {
        placeholders(value).any(|placeholder| self.0.contains_key(placeholder.provider))
    }

    /// Fills the placeholders of every value. Files are read now, each once.
    ///
    /// # Errors
    /// A problem for each property that needs what its provider cannot read.
    pub(super) fn resolve(
        &self,
        given: &BTreeMap<String, String>,
    ) -> Result<Resolved, Vec<Problem>> {
        let mut lookup = Lookup::new(self, given);
        let (mut properties, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, value) in given {
            match lookup.fill(name, value) {
                Ok(filled) => drop(properties.insert(name.clone(), filled)),
                Err((placeholder, error)) => {
                    let (name, reason) = (name.clone(), Reason::Provider(error));
                    // What stands around it may be a secret.
                    let value = Some(Shown::Text(placeholder.to_owned()));
                    problems.push(Problem { name, value, reason });
                }
            }
        }
        let Lookup { concealed, warnings, .. } = lookup;
        if problems.is_empty() {
            Ok(Resolved { properties, concealed, warnings })
        } else {
            Err(problems)
        }
    }
}

impl Provider {
    /// The one whose properties begin with `prefix` and a dot.
    fn new(prefix: &str, given: &BTreeMap<String, String>, report: &mut Report) -> Option<Self> {
        let name = format!("{prefix}.class");
        let Some(class) = given.get(&name).map(|class| class.trim()) else {
            report.missing(&name);
            return None;
        };
        match class.strip_prefix(PACKAGE).unwrap_or(class) {
            "FileConfigProvider" => allowed_paths(prefix, given, report).map(Self::File),
            "DirectoryConfigProvider" => allowed_paths(prefix, given, report).map(Self::Directory),
            "EnvVarConfigProvider" => environment(prefix, given, report).map(Self::Environment),
            _ => {
                let shown = Shown::Text(class.to_owned());
                report.refuse(&name, shown, Reason::NoProviderClass);
                None
            }
        }
    }

    fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Found, ProviderError> {
        match self {
            Self::File(allowed) => file::read(allowed, path, keys),
            Self::Directory(allowed) => directory::read(allowed, path, keys),
            Self::Environment(environment) => environment.read(path, keys),
        }
    }
}

fn allowed_paths(
    prefix: &str,
    given: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<AllowedPaths> {
    let name = format!("{prefix}.param.{ALLOWED_PATHS}");
    let list = given.get(&name).map_or("", String::as_str);
    let refuse = |error: allowed_paths::AllowedPathsError| {
        let reason = Reason::Conflict(error.to_string());
        report.refuse(&name, Shown::Text(list.to_owned()), reason);
    };
    AllowedPaths::parse(list).map_err(refuse).ok()
}

fn environment(
    prefix: &str,
    given: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<Environment> {
    let name = format!("{prefix}.param.{ALLOWLIST_PATTERN}");
    let pattern = given.get(&name).map(String::as_str);
    let refuse = |reason| {
        report.refuse(&name, Shown::Text(pattern.unwrap_or_default().to_owned()), reason);
    };
    Environment::new(pattern, std::env::vars_os()).map_err(refuse).ok()
}

/// Keys with their values, as far as they could be read.
type Values = Result<BTreeMap<String, String>, ProviderError>;

/// What the providers have for one configuration.
struct Lookup<'a> {
    /// By provider and path.
    found: BTreeMap<(&'a str, &'a str), Values>,
    concealed: Concealed,
    warnings: Vec<String>,
}

impl<'a> Lookup<'a> {
    fn new(providers: &Providers, given: &'a BTreeMap<String, String>) -> Self {
        let mut keys: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for placeholder in given.values().flat_map(|value| placeholders(value)) {
            let place = (placeholder.provider, placeholder.path);
            keys.entry(place).or_default().insert(placeholder.key);
        }
        let (mut found, mut warnings) = (BTreeMap::new(), Vec::new());
        for ((name, path), keys) in keys {
            let Some(provider) = providers.0.get(name) else { continue };
            let read = provider.read(path, &keys).map(|Found { values, warning }| {
                warnings.extend(warning);
                values
            });
            found.insert((name, path), read);
        }
        Self { found, concealed: Concealed::default(), warnings }
    }

    /// The value of `property` with its placeholders filled, or the first that cannot be.
    fn fill(&mut self, property: &str, value: &'a str) -> Result<String, (&'a str, ProviderError)> {
        let mut filled = String::with_capacity(value.len());
        for piece in pieces(value) {
            let placeholder = match piece {
                Piece::Text(text) => {
                    filled.push_str(text);
                    continue;
                }
                Piece::Placeholder(placeholder) => placeholder,
            };
            let found = self.found.get(&(placeholder.provider, placeholder.path));
            match found.map(|found| found.as_ref().map(|values| values.get(placeholder.key))) {
                Some(Ok(Some(found))) => {
                    filled.push_str(found);
                    self.concealed.add(property, value, found, placeholder.text);
                }
                Some(Ok(None)) => {
                    self.stays(
                        property,
                        &format!("provider '{}' has no such key", placeholder.provider),
                    );
                    filled.push_str(placeholder.text);
                }
                // Its name may be a piece of a password that looks like a placeholder.
                None => {
                    self.stays(property, "the worker has no such provider");
                    filled.push_str(placeholder.text);
                }
                Some(Err(error)) => return Err((placeholder.text, error.clone())),
            }
        }
        Ok(filled)
    }

    fn stays(&mut self, property: &str, why: &str) {
        self.warnings.push(format!("{property}: a placeholder stays as it is, {why}"));
    }
}

#[cfg(test)]
mod tests;
