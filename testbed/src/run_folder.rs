//! The folder of one set of servers: a sub-folder per server with its data and its log.
//!
//! ```text
//! /tmp/millrace-XXXXXX/
//!   mongod-0/  log  data/        everything but the logs is removed if they are to be kept:
//!   kafka/     log  data/ …      a start failed, or MILLRACE_KEEP_LOGS is set
//! ```
//!
//! It is removed when dropped. For the ends that run no destructor (SIGKILL, Ctrl-C, `exit` with
//! the set in a static) a shell waits on a pipe whose other end only this process holds: the pipe
//! closes with the process, and the shell removes containers (with the program `docker`; without it
//! they stay until the next start or `testbed down`) and the folder. A detached folder has no such
//! shell.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result};

use crate::{Lifetime, docker::FOLDER_LABEL, parent_death};

/// Set, to whatever, to keep the logs of servers that ended well too.
const KEEP_LOGS: &str = "MILLRACE_KEEP_LOGS";

/// Waits for the end of standard input, then removes the containers that have the label `$3`, if
/// one is given, and `$1`, all but its logs if `$2` is `logs`. Tried more than once, because servers
/// that are being killed may still write.
const JANITOR: &str = r#"cat >/dev/null
if [ -n "$3" ]; then
  found=$(docker ps --all --quiet --filter "label=$3") && [ -n "$found" ] &&
    docker rm --force --volumes $found
fi
for attempt in 1 2 3 4 5; do
  umount --lazy "$1"/*/data 2>/dev/null
  if [ "$2" = logs ]; then rm -rf "$1"/*/data && exit; else rm -rf "$1" && exit; fi
  sleep 1
done"#;

/// A folder that is removed with the servers in it.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    keep_logs: AtomicBool,
    /// Set when the folder shall outlive this process.
    left: AtomicBool,
    janitor: Option<Child>,
}

impl RunFolder {
    /// Makes a folder under the system's temporary folder that goes away with this process, and with
    /// it the `containers` of its servers, if they are such.
    pub(crate) fn temporary(containers: bool) -> Result<Self> {
        let mut folder = Self::create(&std::env::temp_dir())?;
        let mut janitor = Command::new("sh");
        let rest = if folder.keeps_logs() { "logs" } else { "nothing" };
        janitor.args(["-c", JANITOR, "testbed-janitor"]).arg(&folder.path).arg(rest);
        if containers {
            janitor.arg(format!("{FOLDER_LABEL}={}", folder.path.display()));
        }
        janitor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = parent_death::spawn(janitor, Lifetime::Detached);
        folder.janitor = Some(child.context("start sh, to remove the servers' folder afterwards")?);
        Ok(folder)
    }

    /// Makes a folder under `parent` that only a drop or `down` removes.
    pub(crate) fn detached(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        Self::create(parent)
    }

    fn create(parent: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("millrace-").tempdir_in(parent);
        let folder = folder
            .with_context(|| format!("create a folder for the servers in {}", parent.display()))?;
        let keep_logs = AtomicBool::new(std::env::var_os(KEEP_LOGS).is_some());
        Ok(Self { path: folder.keep(), keep_logs, left: AtomicBool::new(false), janitor: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the sub-folder of one server, with `data/` in it.
    pub(crate) fn server(&self, role: &str) -> Result<PathBuf> {
        let folder = self.path.join(role);
        fs::create_dir_all(folder.join("data"))
            .with_context(|| format!("create {}", folder.display()))?;
        Ok(folder)
    }

    /// Lets the logs stay when the rest is removed.
    pub(crate) fn keep_logs(&self) {
        self.keep_logs.store(true, Ordering::Relaxed);
    }

    /// Lets everything stay. Only for a detached folder: the shell of another would still remove
    /// it.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    fn keeps_logs(&self) -> bool {
        self.keep_logs.load(Ordering::Relaxed)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Some(mut janitor) = self.janitor.take() {
            let _ = janitor.kill();
            let _ = janitor.wait();
        }
        if self.left.load(Ordering::Relaxed) {
            return;
        }
        let removed = if self.keeps_logs() {
            tracing::info!(folder = %self.path.display(), "the servers' logs are kept");
            remove_data(&self.path)
        } else {
            fs::remove_dir_all(&self.path)
        };
        if let Err(error) = removed {
            tracing::warn!(folder = %self.path.display(), %error, "cannot be removed");
        }
    }
}

fn remove_data(folder: &Path) -> std::io::Result<()> {
    for server in fs::read_dir(folder)? {
        let data = server?.path().join("data");
        if data.is_dir() {
            fs::remove_dir_all(data)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_folder_is_gone() {
        let folder = RunFolder::temporary(false).unwrap();
        let server = folder.server("kafka").unwrap();
        fs::write(server.join("data/file"), "x").unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn kept_logs_are_all_that_stays() {
        let folder = RunFolder::temporary(false).unwrap();
        let server = folder.server("mongod-0").unwrap();
        fs::write(server.join("log"), "x").unwrap();
        folder.keep_logs();
        drop(folder);
        assert!(server.join("log").exists() && !server.join("data").exists());
        fs::remove_dir_all(server.parent().unwrap()).unwrap();
    }

    #[test]
    fn closed_pipe_removes_the_folder_without_a_destructor() {
        let mut folder = RunFolder::temporary(false).unwrap();
        let mut janitor = folder.janitor.take().unwrap();
        drop(janitor.stdin.take());
        assert!(janitor.wait().unwrap().success());
        assert!(!folder.path().exists());
        folder.leave();
    }
}
