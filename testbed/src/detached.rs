//! Servers that are left running on purpose, and how they are found and ended again.
//!
//! ```text
//! <cache>/detached/millrace-XXXXXX/
//!   state.json      addresses, and each process as pid + start time + boot; written as each starts
//!   mongod-0/ kafka/ …
//! ```
//!
//! A pid alone may be another's tomorrow. With the time at which the process started, in clock
//! ticks since boot, and the boot it started in, it names one process for ever. Nothing else is
//! signalled.

use std::{
    fs,
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    Facts, Plan, Servers, Testbed, cache,
    docker::{Docker, Found},
    process::POLL,
};

const STATE_FILE: &str = "state.json";
/// How long a process that is no server of ours may take to stop before it is killed.
const GUEST_GRACE: Duration = Duration::from_secs(20);

/// One set of servers that was left running.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Where its data, its logs and this state are.
    pub folder: PathBuf,
    /// When it was started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// How clients reach MongoDB, credentials included.
    pub mongodb_uri: Option<String>,
    /// How clients reach Kafka.
    pub kafka_bootstrap: Option<String>,
    /// What a Java client of Kafka must be told besides: TLS and a password, if there are any.
    #[serde(default)]
    pub kafka_client: Vec<(String, String)>,
    /// What the servers are; `None` until all of them serve.
    pub facts: Option<Facts>,
    /// In the order in which they were started. Servers in containers are not among them.
    pub processes: Vec<Tracked>,
    /// Whether the servers are containers; the Docker daemon knows which by the folder.
    #[serde(default)]
    pub containers: bool,
}

/// One process that may be ended by [`down`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// What it is: `mongod-0`, `kafka`, or the name that it was added under.
    pub role: String,
    /// Its process id.
    pub pid: u32,
    /// When it was started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub start_ticks: u64,
    /// The boot that it belongs to: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Whether it is a server of the testbed, whose data goes away with it.
    pub server: bool,
}

/// A set as [`status`] finds it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What was noted when it was started.
    #[serde(flatten)]
    pub state: State,
    /// Roles whose process still runs.
    pub running: Vec<String>,
    /// Roles whose process has ended.
    pub ended: Vec<String>,
}

/// What [`down`] did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DownReport {
    /// Every process that was noted, and how it went.
    pub processes: Vec<Ended>,
    /// Servers whose containers were removed, left-over ones of runs that were killed included.
    pub containers: Vec<String>,
    /// Folders that were removed.
    pub folders: Vec<PathBuf>,
}

/// How one process went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// What it was.
    pub role: String,
    /// Its process id.
    pub pid: u32,
    /// What it took.
    pub end: End,
}

/// What it took to end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It had ended before.
    WasGone,
    /// It ended after SIGTERM.
    Stopped,
    /// It was killed: a server, whose data is of no more use, or one that did not heed SIGTERM.
    Killed,
}

/// Starts what `plan` says as processes and leaves it running.
///
/// # Errors
/// Those of [`Testbed::up_detached`]; nothing is left running then.
pub async fn up(plan: Plan) -> Result<State> {
    up_from(plan, Servers::Native).await
}

/// Starts what `plan` says, from where `servers` says, and leaves it running.
///
/// # Errors
/// Those of [`Testbed::up_detached_from`]; nothing is left running then.
pub async fn up_from(plan: Plan, servers: Servers) -> Result<State> {
    Testbed::up_detached_from(plan, servers).await?.keep()
}

/// All sets that were left running and not ended by [`down`], oldest first.
///
/// # Errors
/// When the cache or a state file cannot be read; when a set lies in containers and the Docker daemon
/// does not answer.
pub async fn status() -> Result<Vec<Status>> {
    let mut all = Vec::new();
    for state in states()? {
        all.push(Status::of(state).await?);
    }
    all.sort_by_key(|status| status.state.started_at_ms);
    Ok(all)
}

/// Ends all sets that were left running: their processes and containers, then their folders.
///
/// Containers of ours whose starter was killed go as well. The processes added to a set are asked to
/// stop first and have 20 s; servers are then killed.
///
/// # Errors
/// When a state file cannot be read, a process cannot be ended or a folder not removed.
pub async fn down() -> Result<DownReport> {
    let mut report = DownReport::default();
    for state in states()? {
        let of_set = state.down().await?;
        report.processes.extend(of_set.processes);
        report.containers.extend(of_set.containers);
        report.folders.extend(of_set.folders);
    }
    // A daemon that does not run holds nothing that runs.
    if let Ok(docker) = Docker::connect().await {
        report.containers.extend(roles(docker.remove_leftovers().await?));
    }
    Ok(report)
}

fn roles(found: Vec<Found>) -> Vec<String> {
    found.into_iter().map(|found| found.role).collect()
}

/// Where sets that are left running have their folders.
pub(crate) fn parent_folder() -> Result<PathBuf> {
    Ok(cache::folder()?.join("detached"))
}

impl State {
    /// Notes a further process, such as the node, so that [`down`] ends it before the servers.
    ///
    /// # Errors
    /// When there is no such process, or the state cannot be written.
    pub fn add_process(&mut self, role: &str, pid: u32) -> Result<()> {
        self.processes.push(Tracked::of(role, pid, false)?);
        self.save()
    }

    /// Ends this set: exactly its processes, then its folder.
    ///
    /// # Errors
    /// When a process cannot be ended or the folder not removed; calling again goes on from there.
    pub async fn down(&self) -> Result<DownReport> {
        let mut report = DownReport::default();
        for tracked in self.processes.iter().rev() {
            let end = tracked.end().await?;
            report.processes.push(Ended { role: tracked.role.clone(), pid: tracked.pid, end });
        }
        if self.containers {
            let removed = Docker::connect().await?.remove_set(&self.folder).await?;
            report.containers.extend(roles(removed));
        }
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("remove {}", self.folder.display()))?;
        report.folders.push(self.folder.clone());
        Ok(report)
    }

    fn save(&self) -> Result<()> {
        let path = self.folder.join(STATE_FILE);
        let part = self.folder.join(format!("{STATE_FILE}.part"));
        let write = || {
            // It holds the root password of a set with authentication.
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(true).mode(0o600);
            let mut file = options.open(&part)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            fs::rename(&part, &path)
        };
        write().with_context(|| format!("write {}", path.display()))
    }
}

impl Status {
    async fn of(state: State) -> Result<Self> {
        let mut servers: Vec<(String, bool)> = Vec::new();
        if state.containers {
            let found = Docker::connect().await?.find_set(&state.folder).await?;
            servers.extend(found.into_iter().map(|found| (found.role, found.running)));
        }
        let processes = state.processes.iter();
        servers.extend(processes.map(|tracked| (tracked.role.clone(), tracked.is_running())));
        let (running, ended): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|(_, running)| *running);
        let roles = |all: Vec<(String, bool)>| all.into_iter().map(|(role, _)| role).collect();
        Ok(Self { state, running: roles(running), ended: roles(ended) })
    }
}

impl Tracked {
    /// This process.
    pub(crate) fn this_process() -> Result<Self> {
        Self::of("owner", std::process::id(), false)
    }

    /// `pid/start/boot`, by which this very process is known again.
    pub(crate) fn identity(&self) -> String {
        format!("{}/{}/{}", self.pid, self.start_ticks, self.boot_id)
    }

    /// The process that [`Tracked::identity`] was written of.
    pub(crate) fn from_identity(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, '/');
        Some(Self {
            role: "owner".to_owned(),
            pid: words.next()?.parse().ok()?,
            start_ticks: words.next()?.parse().ok()?,
            boot_id: words.next()?.to_owned(),
            server: false,
        })
    }

    pub(crate) fn of(role: &str, pid: u32, server: bool) -> Result<Self> {
        let (_, start_ticks) =
            process_stat(pid).with_context(|| format!("note {role}: there is no process {pid}"))?;
        Ok(Self { role: role.to_owned(), pid, start_ticks, boot_id: boot_id()?, server })
    }

    /// Whether this very process is there and not a zombie.
    pub fn is_running(&self) -> bool {
        let alive = process_stat(self.pid)
            .is_some_and(|(state, ticks)| ticks == self.start_ticks && !matches!(state, 'Z' | 'X'));
        alive && boot_id().is_ok_and(|boot| boot == self.boot_id)
    }

    async fn end(&self) -> Result<End> {
        if !self.is_running() {
            return Ok(End::WasGone);
        }
        if !self.server {
            self.signal(Signal::SIGTERM)?;
            self.signal(Signal::SIGCONT)?;
            if self.is_gone_within(GUEST_GRACE).await {
                return Ok(End::Stopped);
            }
        }
        self.signal(Signal::SIGKILL)?;
        anyhow::ensure!(
            self.is_gone_within(GUEST_GRACE).await,
            "{} (pid {}) is still there after SIGKILL; its state is kept, so try again",
            self.role,
            self.pid
        );
        Ok(End::Killed)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid).context("a pid above i32")?;
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => {
                Err(errno).with_context(|| format!("send {signal} to {} (pid {pid})", self.role))
            }
        }
    }

    async fn is_gone_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_running() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

/// The state of a set that is being started; shared by what starts its servers.
#[derive(Debug)]
pub(crate) struct StateFile {
    state: Mutex<State>,
}

impl StateFile {
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
        let state = State {
            folder: folder.to_owned(),
            started_at_ms: u64::try_from(now.as_millis()).context("a clock out of range")?,
            mongodb_uri: None,
            kafka_bootstrap: None,
            kafka_client: Vec::new(),
            facts: None,
            processes: Vec::new(),
            containers: false,
        };
        state.save()?;
        Ok(Self { state: Mutex::new(state) })
    }

    /// Notes that `role` is now that process; an earlier process of that role is forgotten.
    pub(crate) fn note_server(&self, role: &str, pid: u32) -> Result<()> {
        let tracked = Tracked::of(role, pid, true)?;
        self.change(|state| {
            state.processes.retain(|earlier| earlier.role != role);
            state.processes.push(tracked);
        })
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.save()
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn states() -> Result<Vec<State>> {
    let parent = parent_folder()?;
    let Ok(entries) = fs::read_dir(&parent) else { return Ok(Vec::new()) };
    let mut states = Vec::new();
    for entry in entries {
        let folder = entry.with_context(|| format!("read {}", parent.display()))?.path();
        let path = folder.join(STATE_FILE);
        let Ok(bytes) = fs::read(&path) else { continue };
        let state: State = serde_json::from_slice(&bytes)
            .with_context(|| format!("read {}: end its processes by hand", path.display()))?;
        // The folder that is removed later is the one that was found, whatever the file says.
        states.push(State { folder, ..state });
    }
    Ok(states)
}

/// State and start time of a process: fields 3 and 22 of `/proc/<pid>/stat`, see proc(5).
fn process_stat(pid: u32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, stands in brackets and may itself hold brackets and spaces.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some((state, start_ticks))
}

fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{Lifetime, Process};

    fn sleeper(folder: &Path) -> Process {
        let mut command = Command::new("sleep");
        command.arg("100");
        Process::start("sleeper", command, &folder.join("log"), Lifetime::Detached).unwrap()
    }

    #[tokio::test]
    async fn process_with_a_recycled_pid_is_not_signalled() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        let tracked = Tracked::of("sleeper", process.pid(), true).unwrap();
        assert!(tracked.is_running());
        let earlier = Tracked { start_ticks: tracked.start_ticks - 1, ..tracked.clone() };
        let other_boot = Tracked { boot_id: "another".to_owned(), ..tracked.clone() };
        for stranger in [earlier, other_boot] {
            assert_eq!(stranger.end().await.unwrap(), End::WasGone);
        }
        assert!(process.try_wait().unwrap().is_none());
        assert_eq!(tracked.end().await.unwrap(), End::Killed);
        assert!(process.try_wait().unwrap().is_some());
    }

    #[tokio::test]
    async fn added_process_is_asked_to_stop_before_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        let file = StateFile::create(folder.path()).unwrap();
        let mut state = file.state();
        state.add_process("node", process.pid()).unwrap();
        let saved = fs::read(folder.path().join(STATE_FILE)).unwrap();
        let saved: State = serde_json::from_slice(&saved).unwrap();
        assert_eq!(saved.processes, state.processes);
        assert_eq!(saved.processes[0].end().await.unwrap(), End::Stopped);
        assert!(state.add_process("nobody", u32::MAX).is_err());
    }

    #[test]
    fn restarted_server_replaces_its_earlier_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::create(folder.path()).unwrap();
        let (first, second) = (sleeper(folder.path()), sleeper(folder.path()));
        for process in [&first, &second] {
            file.note_server("mongod-0", process.pid()).unwrap();
        }
        let pids: Vec<u32> = file.state().processes.iter().map(|tracked| tracked.pid).collect();
        assert_eq!(pids, [second.pid()]);
    }
}
