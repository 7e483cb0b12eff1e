//! The cache: what was downloaded once, checked, and may be used by every run after.
//!
//! ```text
//! $MILLRACE_CACHE (default ~/.cache/millrace)/
//!   mongodb-6.0.27/        complete and checked, or not there at all
//!   mongodb-6.0.27.lock    held while that folder is filled; parallel runs wait for it
//!   .mongodb-6.0.27.part/  being filled; renamed when it is checked, removed when a fill broke off
//!   detached/              servers left running on purpose, see detached.rs
//! ```

use std::{
    env, fs,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// The setting that names the cache folder.
pub const CACHE: &str = "MILLRACE_CACHE";

/// The cache folder, made if it is not there: `MILLRACE_CACHE`, else `~/.cache/millrace`.
///
/// # Errors
/// When there is no home folder, or the folder cannot be made.
pub fn folder() -> Result<PathBuf> {
    let set = env::var_os(CACHE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = set.or_else(|| Some(env::home_dir()?.join(".cache/millrace"))) else {
        bail!("find the cache folder: there is no home folder; set {CACHE} to a folder");
    };
    // Servers are started in other folders, so the path must not depend on ours.
    let path = std::path::absolute(path)?;
    fs::create_dir_all(&path).with_context(|| {
        format!(
            "create the cache folder {}; set {CACHE} to one that can be written",
            path.display()
        )
    })?;
    Ok(path)
}

/// The folder `name` of `cache` if it was filled, without waiting for anyone.
pub(crate) fn find(cache: &Path, name: &str) -> Option<PathBuf> {
    Some(cache.join(name)).filter(|path| path.is_dir())
}

/// Returns the folder `name` of `cache`; if it is not there, `fill` makes its content first.
///
/// `fill` gets an empty folder and checks what it puts there. Only if it succeeds does the content
/// become visible, at once. Blocks while another process fills the same folder.
///
/// # Errors
/// Those of `fill`; when the cache cannot be written.
pub(crate) fn install(
    cache: &Path,
    name: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let target = cache.join(name);
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path)
        .with_context(|| format!("create the lock file {}", lock_path.display()))?;
    // Freed by the kernel when `lock` is closed, also by a process that is killed.
    lock.lock().with_context(|| format!("lock {}", lock_path.display()))?;
    if target.is_dir() {
        return Ok(target);
    }
    let part = cache.join(format!(".{name}.part"));
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("remove {}", part.display()))?;
    }
    fs::create_dir(&part).with_context(|| format!("create {}", part.display()))?;
    let filled = fill(&part).and_then(|()| {
        fs::rename(&part, &target).with_context(|| format!("rename to {}", target.display()))
    });
    if let Err(error) = filled {
        let _ = fs::remove_dir_all(&part);
        return Err(error);
    }
    Ok(target)
}

/// Makes sure that `file` is the one that is meant, and that it will still be after a power cut.
///
/// # Errors
/// When it cannot be read or has another digest.
pub(crate) fn check_sha256(file: &Path, want: &str) -> Result<()> {
    let got = sha256(file).with_context(|| format!("read {}", file.display()))?;
    if got != want {
        bail!(
            "check {}: its SHA-256 is {got}, but {want} is expected; what was downloaded is not \
             what this version was tested with, so it is not used; look at the package index that \
             it came from, then try again",
            file.display()
        );
    }
    Ok(())
}

fn sha256(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    file.sync_all()?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn folder_is_filled_once_by_many_at_the_same_time() {
        let cache = tempfile::tempdir().unwrap();
        let fills = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let path = install(cache.path(), "thing", |folder| {
                        fills.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        Ok(fs::write(folder.join("file"), "whole")?)
                    });
                    assert_eq!(fs::read(path.unwrap().join("file")).unwrap(), b"whole");
                });
            }
        });
        assert_eq!(fills.into_inner(), 1);
    }

    #[test]
    fn fill_that_breaks_off_leaves_nothing_to_use() {
        let cache = tempfile::tempdir().unwrap();
        let broken = install(cache.path(), "thing", |folder| {
            fs::write(folder.join("half"), "x")?;
            bail!("the line broke")
        });
        assert_eq!(broken.unwrap_err().to_string(), "the line broke");
        assert!(find(cache.path(), "thing").is_none());
        // What a killed fill leaves behind is not taken over by the next.
        fs::create_dir(cache.path().join(".thing.part")).unwrap();
        fs::write(cache.path().join(".thing.part/half"), "x").unwrap();
        let path = install(cache.path(), "thing", |_| Ok(())).unwrap();
        assert_eq!(find(cache.path(), "thing"), Some(path.clone()));
        assert!(!path.join("half").exists());
    }

    #[test]
    fn file_with_another_digest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check_sha256(&file, digest).unwrap();
        fs::write(&file, "abd").unwrap();
        let error = check_sha256(&file, digest).unwrap_err().to_string();
        assert!(error.contains("SHA-256") && error.contains(digest), "{error}");
    }
}
