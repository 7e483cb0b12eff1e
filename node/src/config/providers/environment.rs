//! `EnvVarConfigProvider`: `${env:DB_PASSWORD}`, a variable of the worker's environment.
//!
//! `allowlist.pattern` says which may be had; without it all. The environment is looked at once, when the worker
//! starts: that of a process does not change from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use millrace_core::java_pattern::JavaPattern;

use super::super::error::Reason;
use super::super::secret::Secret;
use super::{Found, ProviderError};

/// The variables that may be had.
#[derive(Clone, Debug)]
pub(super) struct Environment(BTreeMap<String, Secret>);

impl Environment {
    /// Keeps those `variables` whose whole name fits `pattern`. One that is no text cannot be the value of a property.
    pub(super) fn new(
        pattern: Option<&str>,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Reason> {
        let pattern = pattern.map(JavaPattern::of_whole).transpose().map_err(Reason::NotARegex)?;
        let mut kept = BTreeMap::new();
        for (name, value) in variables {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
            let fits = pattern.as_ref().map_or(Ok(true), |pattern| pattern.is_match(&name));
            let costly = |_| Reason::Conflict(format!("it backtracks without an end over {name}"));
            if fits.map_err(costly)? {
                kept.insert(name, Secret::new(value));
            }
        }
        Ok(Self(kept))
    }

    /// The variables `keys`.
    pub(super) fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Found, ProviderError> {
        if !path.is_empty() {
            return Err(ProviderError::PathOfVariable(path.to_owned()));
        }
        let values = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), self.0.get(*key)?.expose().to_owned())));
        Ok(Found { values: values.collect(), warning: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pattern: Option<&str>) -> Result<Environment, Reason> {
        let variables = [("DB_USER", "app"), ("DB_PASSWORD", "s3cret"), ("HOME", "/root")];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        Environment::new(pattern, variables.into_iter())
    }

    #[test]
    fn only_variables_whose_whole_name_fits_can_be_had() {
        let keys = BTreeSet::from(["DB_USER", "HOME", "NONE"]);
        let names = |pattern: Option<&str>| -> Vec<String> {
            let found = environment(pattern).unwrap().read("", &keys).unwrap();
            found.values.into_keys().collect()
        };
        assert_eq!(names(None), ["DB_USER", "HOME"]);
        assert_eq!(names(Some("DB_.*")), ["DB_USER"]);
        assert_eq!(names(Some("DB_")), [""; 0]);
        assert!(matches!(environment(Some("(")), Err(Reason::NotARegex(_))));
    }

    #[test]
    fn a_path_is_refused_in_javas_words_and_no_value_is_printed() {
        let environment = environment(None).unwrap();
        let error = environment.read("x", &BTreeSet::new()).unwrap_err().to_string();
        assert_eq!(error, "Path is not supported for EnvVarConfigProvider, invalid value 'x'");
        assert!(!format!("{environment:?}").contains("s3cret"));
    }
}
