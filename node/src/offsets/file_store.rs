//! The offsets file on the disk: read once, replaced whole at every flush.
//!
//! A flush writes a new file beside the old one, brings it to the disk, renames it over the old one
//! and brings the folder to the disk. So a crash leaves the old positions or the new ones, never
//! half of them. Access rights of an existing file are kept; a link is followed.
//!
//! One process writes the file. Calls block until the disk has answered. Who calls when is the
//! business of [`super::writer`].

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use super::java_file::{self, JavaFileError};
use super::stored::StoredOffsets;

/// Access rights of a new file, before the process's own mask.
const NEW_FILE_MODE: u32 = 0o666;

/// Why positions cannot be read or written.
#[derive(Debug, Error)]
pub(crate) enum FileStoreError {
    #[error(
        "reading the offsets file {} failed: {error}; offset.storage.file.filename names it",
        path.display()
    )]
    Unreadable { path: PathBuf, error: io::Error },
    #[error(
        "the offsets file {} is no offsets file of Kafka Connect: {error}; name another one with \
         offset.storage.file.filename, or move the file away to start without stored positions",
        path.display()
    )]
    Malformed { path: PathBuf, error: JavaFileError },
    #[error(
        "writing the offsets file {} failed: {error}; its folder must exist, be writable and have \
         room",
        path.display()
    )]
    Unwritable { path: PathBuf, error: io::Error },
}

/// The positions of all connectors of a worker, and the file that holds them.
#[derive(Debug)]
pub(crate) struct FileStore {
    path: PathBuf,
    stored: StoredOffsets,
    /// Something was put since the last flush that succeeded.
    is_changed: bool,
}

impl FileStore {
    /// Reads the file; a missing or an empty one holds no positions. Fails early if it could not be
    /// replaced later.
    pub(crate) fn open(path: &Path) -> Result<Self, FileStoreError> {
        let unreadable = |error| FileStoreError::Unreadable { path: path.to_owned(), error };
        let (path, bytes) = match fs::read(path) {
            Ok(bytes) => (fs::canonicalize(path).map_err(unreadable)?, bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let stored = java_file::decode(&bytes)
            .map_err(|error| FileStoreError::Malformed { path: path.clone(), error })?;
        let store = Self { path, stored, is_changed: false };
        store.beside().map_err(|error| store.unwritable(error))?;
        Ok(store)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All positions, those of other connectors among them.
    pub(crate) fn stored(&self) -> &StoredOffsets {
        &self.stored
    }

    /// Takes a position, or that there is none; [`Self::flush`] brings it to the disk.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.stored.insert(key, value);
        self.is_changed = true;
    }

    /// Brings everything to the disk. After an error the old file is still there; a later flush
    /// tries again.
    pub(crate) fn flush(&mut self) -> Result<(), FileStoreError> {
        if self.is_changed {
            self.replace().map_err(|error| self.unwritable(error))?;
            self.is_changed = false;
        }
        Ok(())
    }

    fn replace(&self) -> io::Result<()> {
        let mut new = self.beside()?;
        new.write_all(&java_file::encode(&self.stored))?;
        match fs::metadata(&self.path) {
            Ok(old) => new.as_file().set_permissions(old.permissions())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        new.as_file().sync_all()?;
        new.persist(&self.path).map_err(|error| error.error)?;
        File::open(self.folder())?.sync_all()
    }

    /// An empty file in the same folder, removed again unless it is renamed.
    fn beside(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix(".millrace-offsets-")
            .permissions(Permissions::from_mode(NEW_FILE_MODE))
            .tempfile_in(self.folder())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        }
    }

    fn unwritable(&self, error: io::Error) -> FileStoreError {
        FileStoreError::Unwritable { path: self.path.clone(), error }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_flushed_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connect.offsets");
        let mut store = FileStore::open(&path).unwrap();
        assert_eq!(store.stored(), &StoredOffsets::default());
        store.put(b"k".to_vec(), Some(b"v".to_vec()));
        store.flush().unwrap();
        store.put(b"k".to_vec(), Some(b"w".to_vec()));
        store.flush().unwrap();
        let again = FileStore::open(&path).unwrap();
        assert_eq!(again.stored(), store.stored());
        assert_eq!(again.stored().iter().next(), Some((&b"k"[..], Some(&b"w"[..]))));
        assert_eq!(names(folder.path()), ["connect.offsets"]);
    }

    #[test]
    fn pairs_of_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o");
        let mut others = StoredOffsets::default();
        others.insert(
            b"[\"file\",{\"filename\":\"x\"}]".to_vec(),
            Some(b"{\"position\":5}".to_vec()),
        );
        others.insert(b"reset".to_vec(), None);
        fs::write(&path, java_file::encode(&others)).unwrap();
        let mut store = FileStore::open(&path).unwrap();
        store.put(b"ours".to_vec(), Some(b"v".to_vec()));
        store.flush().unwrap();
        others.insert(b"ours".to_vec(), Some(b"v".to_vec()));
        assert_eq!(FileStore::open(&path).unwrap().stored(), &others);
    }

    #[test]
    fn nothing_is_written_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o");
        FileStore::open(&path).unwrap().flush().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn rights_are_kept_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, b"").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        let mut store = FileStore::open(&link).unwrap();
        store.put(b"k".to_vec(), Some(b"v".to_vec()));
        store.flush().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(FileStore::open(&real).unwrap().stored().len(), 1);
    }

    #[test]
    fn foreign_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o");
        fs::write(&path, b"hello").unwrap();
        let error = FileStore::open(&path).unwrap_err().to_string();
        assert!(error.ends_with(
            "is no offsets file of Kafka Connect: byte 0: this is no java.util.HashMap that Java \
             has serialised; name another one with offset.storage.file.filename, or move the file \
             away to start without stored positions"
        ));
        assert_eq!(fs::read(&path).unwrap(), b"hello");
    }

    #[test]
    fn folder_that_is_not_there_is_noticed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileStore::open(&folder.path().join("no/o")).unwrap_err();
        assert!(matches!(error, FileStoreError::Unwritable { .. }));
        assert!(matches!(
            FileStore::open(folder.path()).unwrap_err(),
            FileStoreError::Unreadable { .. }
        ));
    }

    #[test]
    fn failed_flush_leaves_the_old_file_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let away = folder.path().join("away");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("o");
        let mut store = FileStore::open(&path).unwrap();
        store.put(b"k".to_vec(), Some(b"v".to_vec()));
        fs::rename(&inner, &away).unwrap();
        assert!(matches!(store.flush().unwrap_err(), FileStoreError::Unwritable { .. }));
        fs::rename(&away, &inner).unwrap();
        store.flush().unwrap();
        assert_eq!(FileStore::open(&path).unwrap().stored().len(), 1);
    }
}
