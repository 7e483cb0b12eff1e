//! Where and with what a run was made: processor, memory, kernel, commit, command line.
//!
//! Figures of different machines are never compared; these facts say which ones belong together. Everything comes from
//! `/proc`, `/etc/os-release` and `git`; what cannot be found is `unknown`, a run does not fail for it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

/// The machine of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// As the kernel names it.
    pub cpu_model: String,
    /// Logical processors that this process may use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Name and version of the distribution.
    pub os: String,
}

/// The sources of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// `git describe --always`.
    pub describe: String,
    /// Files differed from the commit.
    pub dirty: bool,
}

impl Machine {
    /// The facts of this machine.
    pub fn here() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let meminfo = read("/proc/meminfo");
        let os_release = read("/etc/os-release");
        Self {
            cpu_model: or_unknown(field(&cpuinfo, "model name", ':')),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_mib: field(&meminfo, "MemTotal", ':').map_or(0, kib_as_mib),
            kernel: or_unknown(Some(read("/proc/sys/kernel/osrelease").trim())),
            os: or_unknown(field(&os_release, "PRETTY_NAME", '=')),
        }
    }
}

impl Commit {
    /// The commit that is checked out in `folder`.
    pub fn of(folder: &Path) -> Self {
        let git = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["describe", "--always", "--dirty", "--abbrev=12"])
            .output();
        let text = match &git {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout),
            Ok(_) | Err(_) => "".into(),
        };
        Self::from_describe(text.trim())
    }

    fn from_describe(text: &str) -> Self {
        match text.strip_suffix("-dirty") {
            Some(describe) => Self { describe: describe.to_owned(), dirty: true },
            None => Self { describe: or_unknown(Some(text)), dirty: false },
        }
    }
}

/// The arguments of this process, without the passwords of any connection string among them.
pub fn command_line() -> Vec<String> {
    env::args().map(|argument| without_credentials(&argument)).collect()
}

/// `scheme://user:password@host` as `scheme://***@host`.
fn without_credentials(argument: &str) -> String {
    let Some((before, rest)) = argument.split_once("://") else {
        return argument.to_owned();
    };
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    // A password with an unescaped slash reaches into what looks like the path.
    let credentials = authority.rfind('@').or_else(|| rest.rfind('@'));
    match credentials {
        Some(at) => format!("{before}://***{}", &rest[at..]),
        None => argument.to_owned(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn or_unknown(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("unknown").to_owned()
}

/// The value of the first line `name separator value`, without quotes.
fn field<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(separator)?;
        (found.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

/// `24576 kB` as 24.
fn kib_as_mib(text: &str) -> u64 {
    text.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_of_this_machine_are_found() {
        let machine = Machine::here();
        assert!(0 < machine.cores && 0 < machine.memory_mib, "{machine:?}");
        assert_ne!(machine.kernel, "unknown");
    }

    #[test]
    fn fields_are_read_from_the_files_of_the_kernel() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n";
        assert_eq!(field(cpuinfo, "model name", ':'), Some("Some CPU @ 2 GHz"));
        assert_eq!(field("A=b\nPRETTY_NAME=\"Linux 12\"\n", "PRETTY_NAME", '='), Some("Linux 12"));
        assert_eq!(field("", "MemTotal", ':'), None);
        assert_eq!(kib_as_mib("24576 kB"), 24);
        assert_eq!(kib_as_mib("much"), 0);
    }

    #[test]
    fn commits_say_whether_files_differed() {
        let commit = |describe: &str, dirty| Commit { describe: describe.to_owned(), dirty };
        assert_eq!(Commit::from_describe("v0.1-3-gabc"), commit("v0.1-3-gabc", false));
        assert_eq!(Commit::from_describe("abc-dirty"), commit("abc", true));
        assert_eq!(Commit::from_describe(""), commit("unknown", false));
    }

    #[test]
    fn a_folder_without_a_repository_has_no_commit() {
        assert_eq!(Commit::of(Path::new("/proc")).describe, "unknown");
    }

    #[test]
    fn connection_strings_lose_their_credentials() {
        for (argument, shown) in [
            ("mongodb://a:b@h:1/?x=y", "mongodb://***@h:1/?x=y"),
            ("--uri=mongodb+srv://a@h", "--uri=mongodb+srv://***@h"),
            ("mongodb://a:b@c@h", "mongodb://***@h"),
            ("mongodb://a:b/c@h/db", "mongodb://***@h/db"),
            ("mongodb://h1,h2/?x", "mongodb://h1,h2/?x"),
            ("--events", "--events"),
        ] {
            assert_eq!(without_credentials(argument), shown);
        }
    }
}
