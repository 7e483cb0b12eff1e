//! `allowed.paths`: where a provider may look for files, and nowhere else.
//!
//! As in Java the check is one of names: `..` is taken out of a path before it is compared, links are not followed.
//! Secrets that Kubernetes mounts are links, to files elsewhere in the same mount.

use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Folders and files; `None`: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AllowedPaths(Option<Vec<PathBuf>>);

/// Why a list is of no use. Java's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum AllowedPathsError {
    #[error("Path {} is not absolute", .0.display())]
    NotAbsolute(PathBuf),
    #[error("Path {} does not exist", .0.display())]
    Missing(PathBuf),
}

impl AllowedPaths {
    /// Reads the list, whose paths are parted by commas; an empty one allows everything.
    pub(super) fn parse(list: &str) -> Result<Self, AllowedPathsError> {
        if list.is_empty() {
            return Ok(Self(None));
        }
        let paths = list.split(',').map(|text| {
            let path = normalised(Path::new(text));
            if !path.is_absolute() {
                Err(AllowedPathsError::NotAbsolute(path))
            } else if !path.exists() {
                Err(AllowedPathsError::Missing(path))
            } else {
                Ok(path)
            }
        });
        paths.collect::<Result<_, _>>().map(|paths| Self(Some(paths)))
    }

    /// Where `path` leads; `None`: nobody may look there.
    pub(super) fn allowed(&self, path: &str) -> Option<PathBuf> {
        let Some(allowed) = &self.0 else { return Some(PathBuf::from(path)) };
        let path = normalised(Path::new(path));
        allowed.iter().any(|allowed| path.starts_with(allowed)).then_some(path)
    }
}

/// Without `.` and `..`, by the names alone.
fn normalised(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            // There is nothing above the root.
            Component::ParentDir if normal.has_root() => {}
            Component::Prefix(_)
            | Component::RootDir
            | Component::ParentDir
            | Component::Normal(_) => {
                normal.push(component);
            }
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_their_names_without_dots() {
        let normal = |path: &str| normalised(Path::new(path)).display().to_string();
        assert_eq!(normal("/a/./b/../c//d"), "/a/c/d");
        assert_eq!(normal("/../../a"), "/a");
        assert_eq!(normal("a/../../b"), "../b");
        assert_eq!(normal("../../b"), "../../b");
    }

    #[test]
    fn nothing_outside_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("a");
        std::fs::create_dir(&inside).unwrap();
        let inside = inside.to_str().unwrap();
        let allowed = AllowedPaths::parse(&format!("{inside},/proc")).unwrap();
        assert_eq!(allowed.allowed(inside), Some(inside.into()));
        assert!(allowed.allowed(&format!("{inside}/x/y")).is_some());
        assert!(allowed.allowed("/proc/self").is_some());
        for outside in [&*format!("{inside}/../b"), &*format!("{inside}b"), "/", "", "a", "../a"] {
            assert_eq!(allowed.allowed(outside), None, "{outside}");
        }
        let everything = AllowedPaths::parse("").unwrap();
        assert_eq!(everything.allowed("/a/../b"), Some("/a/../b".into()));
    }

    #[test]
    fn a_list_that_allows_nothing_is_refused() {
        let refused = |list: &str| AllowedPaths::parse(list).unwrap_err().to_string();
        assert_eq!(refused("secrets"), "Path secrets is not absolute");
        assert_eq!(
            refused("/proc, /proc"),
            "Path  /proc is not absolute",
            "blanks count, as in Java"
        );
        assert_eq!(refused("/there/is/../none"), "Path /there/none does not exist");
    }
}
