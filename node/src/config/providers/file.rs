//! `FileConfigProvider`: `${file:/path/to/file.properties:key}`, a value of a file of properties.

use std::collections::{BTreeMap, BTreeSet};

use super::super::properties;
use super::allowed_paths::AllowedPaths;
use super::{Found, ProviderError, bounded_file};

/// Reads `keys` of the file at `path`. Java reads it as UTF-8, other than the files of Connect.
pub(super) fn read(
    allowed: &AllowedPaths,
    path: &str,
    keys: &BTreeSet<&str>,
) -> Result<Found, ProviderError> {
    if path.is_empty() {
        return Ok(Found::default());
    }
    let Some(file) = allowed.allowed(path) else { return Ok(Found::not_allowed(path)) };
    let unreadable = |reason: String| ProviderError::File { path: path.to_owned(), reason };
    let bytes = bounded_file::read(&file).map_err(|error| unreadable(error.to_string()))?;
    if str::from_utf8(&bytes).is_err() {
        return Err(unreadable("it is no UTF-8 text".to_owned()));
    }
    let properties = properties::parse(&bytes).map_err(|at| {
        unreadable(format!("line {}, column {}: {}", at.line, at.column, at.reason))
    })?;
    // Of doubled keys the last counts.
    let entries = properties.entries.into_iter().map(|entry| (entry.key, entry.value));
    let values = entries.filter(|(key, _)| keys.contains(key.as_str()));
    Ok(Found { values: values.collect::<BTreeMap<_, _>>(), warning: None })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn values_are_those_of_a_file_of_properties() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.properties");
        let text = "# secrets\nuser = app\npassword: p\\u00e4 ss \\\n   wörd\nuser=other\nempty=";
        fs::write(&path, text).unwrap();
        let keys = BTreeSet::from(["user", "password", "empty", "none"]);
        let everywhere = AllowedPaths::default();
        let found = read(&everywhere, path.to_str().unwrap(), &keys).unwrap();
        let value = |key: &str| found.values.get(key).map(String::as_str);
        assert_eq!(value("user"), Some("other"));
        assert_eq!(value("password"), Some("pä ss wörd"));
        assert_eq!((value("empty"), value("none")), (Some(""), None));
        assert_eq!(read(&everywhere, "", &keys).unwrap(), Found::default());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_in_javas_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.properties");
        let text = path.to_str().unwrap();
        let error =
            || read(&AllowedPaths::default(), text, &BTreeSet::new()).unwrap_err().to_string();
        assert!(
            error().starts_with(&format!("Could not read properties from file {text}: No such"))
        );
        let endless = read(&AllowedPaths::default(), "/dev/zero", &BTreeSet::new());
        let endless = endless.unwrap_err().to_string();
        assert!(endless.contains("from file /dev/zero: it is no regular file; "), "{endless}");
        fs::write(&path, b"a=\xff").unwrap();
        assert!(error().ends_with("it is no UTF-8 text"));
        fs::write(&path, b"a=\\u00g0").unwrap();
        assert!(error().contains("line 1, column "), "{}", error());
    }

    #[test]
    fn a_file_elsewhere_is_not_looked_at() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = other.path().join("a.properties");
        fs::write(&path, "key=value").unwrap();
        let allowed = AllowedPaths::parse(folder.path().to_str().unwrap()).unwrap();
        let path = path.to_str().unwrap();
        let found = read(&allowed, path, &BTreeSet::from(["key"])).unwrap();
        assert!(found.values.is_empty());
        let warning = format!("The path {path} is not allowed to be accessed");
        assert_eq!(found.warning, Some(warning));
    }
}
