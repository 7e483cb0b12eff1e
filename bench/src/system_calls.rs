//! Counts the system calls of a process while a run goes on, by the kernel's own tracepoint (`perf stat`).
//!
//! Nobody is asked for his own count, so all arms are counted alike. The kernel then does a little more at every call:
//! a run that counts is marked by its setting, and is not compared with one that does not.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const EVENT: &str = "raw_syscalls:sys_enter";
/// How long `perf` may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_millis(200);

/// A count that goes on until [`SystemCalls::finish`].
#[derive(Debug)]
pub struct SystemCalls {
    perf: Child,
}

impl SystemCalls {
    /// Begins to count the calls of all threads of `pid`.
    ///
    /// # Errors
    /// When there is no `perf`, or the kernel does not let it count.
    pub fn begin(pid: u32) -> Result<Self> {
        let mut perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", EVENT, "-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("system calls are counted by `perf stat`: install linux-perf, or leave the count out")?;
        std::thread::sleep(BEGIN_LIMIT);
        if perf.try_wait()?.is_some() {
            let mut said = String::new();
            perf.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said)).transpose()?;
            bail!("`perf stat -e {EVENT}` does not count here: {}", said.trim());
        }
        Ok(Self { perf })
    }

    /// Ends the count and says how many calls there were.
    ///
    /// # Errors
    /// When what `perf` says cannot be read.
    pub fn finish(mut self) -> Result<u64> {
        kill(Pid::from_raw(self.perf.id().cast_signed()), Signal::SIGINT)?;
        let mut said = String::new();
        let stderr = self.perf.stderr.take().context("perf has no output")?;
        std::io::BufReader::new(stderr).read_to_string(&mut said)?;
        self.perf.wait()?;
        count(&said).with_context(|| format!("perf did not say a count: {said}"))
    }
}

impl Drop for SystemCalls {
    fn drop(&mut self) {
        // Fails if it has ended, which is what is wanted.
        let _ = self.perf.kill();
        let _ = self.perf.wait();
    }
}

/// The first field of the line of [`EVENT`].
fn count(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(EVENT))?.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_count_is_the_first_field_of_its_line() {
        let text = "# started\n\n1234,,raw_syscalls:sys_enter,800,100.00,,\n";
        assert_eq!(count(text), Some(1_234));
        assert_eq!(count("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n"), None);
        assert_eq!(count(""), None);
    }

    #[test]
    fn calls_of_a_process_are_counted_or_it_is_said_why_not() {
        // Opens a file 200 times once it is told to.
        let mut child = Command::new("sh")
            .args(["-c", "read go; i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo >/dev/null; done; exec sleep 9"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = SystemCalls::begin(child.id());
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        std::thread::sleep(Duration::from_millis(1_000));
        match begun.and_then(SystemCalls::finish) {
            Ok(counted) => assert!((200..20_000).contains(&counted), "{counted} calls"),
            Err(error) => assert!(format!("{error:#}").contains("perf"), "{error:#}"),
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
