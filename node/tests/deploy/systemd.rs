//! The unit: what systemd itself says of it, and what its command line comes to.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{MILLRACE, is_here, read};

const UNIT: &str = "systemd/millrace.service";
const INSTALLED: &str = "/usr/bin/millrace";

/// The value of the one line `name=`.
fn value<'a>(unit: &'a str, name: &str) -> Result<&'a str> {
    let mut lines = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = lines.next().with_context(|| format!("no {name}"))?;
    ensure!(lines.next().is_none(), "{name} is there twice");
    Ok(value)
}

#[test]
fn systemd_understands_every_line() -> Result<()> {
    if !is_here("systemd-analyze", Command::new("systemd-analyze").arg("--version")) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let unit = read(UNIT)?;
    let path = folder.path().join("millrace.service");
    let verify = |unit: &str| -> Result<String> {
        fs::write(&path, unit.replace(INSTALLED, MILLRACE))?;
        let output = Command::new("systemd-analyze").arg("verify").arg(&path).output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let said = verify(&unit)?;
    assert!(!said.contains("millrace.service"), "{said}");
    let misspelt = verify(&unit.replace("NoNewPrivileges", "NoNewPriviledges"))?;
    assert!(misspelt.contains("NoNewPriviledges"), "it would not have been found: {misspelt}");
    Ok(())
}

#[test]
fn command_line_is_that_of_the_image() -> Result<()> {
    let unit = read(UNIT)?;
    let mut words = value(&unit, "ExecStart")?.split(' ');
    assert_eq!(words.next(), Some(INSTALLED));
    let rest: Vec<_> = words.map(|word| format!("{word:?}")).collect();
    let command = format!("\nCMD [{}]\n", rest.join(", "));
    assert!(read("docker/Dockerfile")?.contains(&command), "no {command:?}");
    Ok(())
}

#[test]
fn a_wrong_configuration_is_not_started_again() -> Result<()> {
    let unit = read(UNIT)?;
    let status = value(&unit, "RestartPreventExitStatus")?;
    let folder = tempfile::tempdir()?;
    let worker = folder.path().join("worker.properties");
    fs::write(&worker, "bootstrap.servers=\n")?;
    let ended = Command::new(MILLRACE).arg("standalone").arg(worker).output()?.status;
    assert_eq!(ended.code(), status.parse().ok());
    Ok(())
}
