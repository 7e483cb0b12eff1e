//! A small disk under the data of one server, so that it can be full without filling the machine's.
//!
//! ```text
//! <run folder>/mongod-0/data/   a tmpfs of its own size   ── fill ──►  ballast takes what is left
//! ```
//!
//! Mounting takes root. The mount is undone when this is dropped, and by the shell that watches over
//! the run folder when this process is killed.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context as _, Result, ensure};

use crate::process::run;

/// The file that takes the room.
const BALLAST: &str = "millrace-ballast";

/// A file system of limited size. Unmounted when dropped.
#[derive(Debug)]
pub(crate) struct DataDisk {
    folder: PathBuf,
    /// Serializes filling and freeing.
    ballast: Mutex<()>,
}

impl DataDisk {
    /// Mounts `size_mb` MiB on the empty folder `folder`.
    ///
    /// # Errors
    /// When this process is not root, or the kernel refuses.
    pub(crate) fn mount(folder: &Path, size_mb: u32) -> Result<Self> {
        check_may_mount()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size_mb}m,mode=0755"), "millrace"]);
        mount.arg(folder);
        run(mount).with_context(|| format!("mount {size_mb} MiB on {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), ballast: Mutex::new(()) })
    }

    /// Takes all the room that is left. Writing a file of zeros: at most the disk's size.
    ///
    /// # Errors
    /// When the disk cannot be written to for another reason than that it is full.
    pub(crate) fn fill(&self) -> Result<()> {
        let _one = self.ballast.lock();
        let path = self.folder.join(BALLAST);
        let mut zeros = fs::File::open("/dev/zero")?;
        let mut ballast =
            fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
        match std::io::copy(&mut zeros, &mut ballast) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
            Err(error) => Err(error).with_context(|| format!("fill {}", path.display())),
            Ok(_) => anyhow::bail!("fill {}: it took all the zeros there are", path.display()),
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When the ballast is there and cannot be removed.
    pub(crate) fn free(&self) -> Result<()> {
        let _one = self.ballast.lock();
        let path = self.folder.join(BALLAST);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for DataDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        // Lazily: a process that was just killed may still hold a file.
        umount.arg("--lazy").arg(&self.folder);
        if let Err(error) = run(umount) {
            tracing::warn!(folder = %self.folder.display(), "unmount: {error:#}");
        }
    }
}

/// Refuses a disk of its own where none can be mounted, before anything starts.
pub(crate) fn check_may_mount() -> Result<()> {
    let user = fs::metadata("/proc/self").context("ask who this process is")?.uid();
    ensure!(
        user == 0,
        "a data disk of its own was asked for; mounting one takes root, so run as root or leave \
         `disk_mb` out of the plan"
    );
    Ok(())
}
