//! `DirectoryConfigProvider`: `${dir:/run/secrets:password}`, the whole content of a file, whose name is the key.
//!
//! Nothing is taken off the content: a line end at its end belongs to it, as in Java.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use super::allowed_paths::AllowedPaths;
use super::{Found, ProviderError, bounded_file};

/// Reads the files `keys` of the folder at `path`; keys that are no file there have no value.
pub(super) fn read(
    allowed: &AllowedPaths,
    path: &str,
    keys: &BTreeSet<&str>,
) -> Result<Found, ProviderError> {
    if path.is_empty() {
        return Ok(Found::default());
    }
    let Some(folder) = allowed.allowed(path) else { return Ok(Found::not_allowed(path)) };
    if !folder.is_dir() {
        let warning = Some(format!("The path {path} is not a directory"));
        return Ok(Found { values: BTreeMap::new(), warning });
    }
    let mut values = BTreeMap::new();
    for key in keys.iter().filter(|key| is_name(key)) {
        let file = folder.join(key);
        if !file.is_file() {
            continue;
        }
        let bytes = bounded_file::read(&file).map_err(|error| ProviderError::FileOfKey {
            path: file.display().to_string(),
            key: (*key).to_owned(),
            error: error.to_string(),
        })?;
        values.insert((*key).to_owned(), String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(Found { values, warning: None })
}

/// Whether `key` can be the name of a file in a folder, and is no way out of it.
fn is_name(key: &str) -> bool {
    let mut components = Path::new(key).components();
    let is_one = matches!(components.next(), Some(Component::Normal(name)) if name == key);
    is_one && components.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_is_a_file_of_the_folder_and_no_way_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        fs::create_dir_all(secrets.join("folder")).unwrap();
        fs::write(secrets.join("password"), "s3cret\n").unwrap();
        fs::write(folder.path().join("outside"), "no").unwrap();
        let absolute = folder.path().join("outside");
        let keys =
            ["password", "none", "folder", "../outside", absolute.to_str().unwrap(), "", ".", ".."];
        let path = secrets.to_str().unwrap();
        let found = read(&AllowedPaths::default(), path, &keys.into_iter().collect()).unwrap();
        assert_eq!(found.values, BTreeMap::from([("password".to_owned(), "s3cret\n".to_owned())]));
        fs::write(secrets.join("password"), vec![b'a'; 2 << 20]).unwrap();
        let error =
            read(&AllowedPaths::default(), path, &BTreeSet::from(["password"])).unwrap_err();
        assert!(error.to_string().contains("more than 1 MiB"), "{error}");
        for key in ["password/", "./password", "folder/../password"] {
            assert!(!is_name(key), "{key}");
        }
    }

    #[test]
    fn what_is_no_folder_or_not_allowed_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        let keys = BTreeSet::from(["k"]);
        let warning =
            |allowed: &AllowedPaths, path: &str| read(allowed, path, &keys).unwrap().warning;
        let path = path.to_str().unwrap();
        let no_folder = warning(&AllowedPaths::default(), path);
        assert_eq!(no_folder, Some(format!("The path {path} is not a directory")));
        let allowed = AllowedPaths::parse(folder.path().to_str().unwrap()).unwrap();
        let elsewhere = warning(&allowed, "/proc");
        assert_eq!(elsewhere.as_deref(), Some("The path /proc is not allowed to be accessed"));
    }
}
