//! The image: its last stage is built around the binary of this test, with the libraries that this one loads, and run
//! as the user that it names. What comes before, the build of a static binary, takes minutes and a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{MILLRACE, is_here, read, run};

const IMAGE: &str = "millrace-deploy-test:latest";
const CONTAINER: &str = "millrace-deploy-test";
const PATIENCE: Duration = Duration::from_secs(30);

/// The Dockerfile from its last `FROM` on, with files of the context in place of those of the stage before.
fn last_stage() -> Result<String> {
    let dockerfile = read("docker/Dockerfile")?;
    let begin = dockerfile.rfind("\nFROM ").context("no last stage")?;
    let stage = dockerfile.get(begin..).unwrap_or_default();
    Ok(stage.replace("--from=build ", "").replace(" /out/ ", " out/ ").replace(" /own/ ", " own/ "))
}

/// What the loader loads for `binary`, and the loader itself.
fn libraries(binary: &str) -> Result<Vec<PathBuf>> {
    let said = run(Command::new("ldd").arg(binary))?;
    let words = said.lines().filter_map(|line| {
        line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
    });
    Ok(words.collect())
}

fn stage(folder: &Path) -> Result<()> {
    let mut files = libraries(MILLRACE)?;
    files.retain(|file| file.exists());
    for file in &files {
        copy(file, &folder.join("out").join(file.strip_prefix("/")?))?;
    }
    copy(Path::new(MILLRACE), &folder.join("out/usr/bin/millrace"))?;
    fs::create_dir_all(folder.join("own/var/lib/millrace"))?;
    Ok(fs::write(folder.join("Dockerfile"), last_stage()?)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a folder")?)?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}

fn docker(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments);
    command
}

/// Goes away with the test, however that ends.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", CONTAINER]).output();
        let _ = docker(&["image", "rm", "--force", IMAGE]).output();
    }
}

#[test]
fn the_last_stage_is_from_scratch_and_nobody_is_root() -> Result<()> {
    let stage = last_stage()?;
    assert!(stage.starts_with("\nFROM scratch\n"), "{stage}");
    assert!(!stage.contains("--from") && !stage.contains("\nRUN "), "{stage}");
    let user = stage.lines().find_map(|line| line.strip_prefix("USER ")).context("no USER")?;
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| 0 < id)), "{user}");
    Ok(())
}

#[test]
fn a_worker_runs_in_the_image_and_ends_in_order() -> Result<()> {
    if !is_here("a Docker daemon", &mut docker(&["info"])) {
        ensure!(std::env::var("CI").is_err(), "in CI there must be one");
        return Ok(());
    }
    let _running = Running;
    let folder = tempfile::tempdir()?;
    stage(folder.path())?;
    run(docker(&["build", "--tag", IMAGE]).arg(folder.path()))?;
    let version = run(&mut docker(&["run", "--rm", IMAGE, "--version"]))?;
    assert!(version.contains(&format!("millrace {}", env!("CARGO_PKG_VERSION"))), "{version}");

    let worker = folder.path().join("worker.properties");
    let lines = "bootstrap.servers=127.0.0.1:9\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
                 offset.storage.file.filename=/var/lib/millrace/connect.offsets\nlisteners=http://127.0.0.1:0\n";
    fs::write(&worker, lines)?;
    let mount = format!("{}:/etc/millrace/worker.properties:ro", worker.display());
    let mut start = docker(&["run", "--detach", "--name", CONTAINER, "--volume", &mount]);
    start.args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges", IMAGE]);
    run(start.args(["standalone", "/etc/millrace/worker.properties"]).stdin(Stdio::null()))?;
    let began = Instant::now();
    loop {
        let log = run(&mut docker(&["logs", CONTAINER]))?;
        if log.contains("REST interface on") {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "it does not serve:\n{log}");
        sleep(Duration::from_millis(100));
    }
    run(&mut docker(&["stop", "--time", "30", CONTAINER]))?;
    let code = run(&mut docker(&[
        "inspect",
        "--format",
        "{{.State.ExitCode}} {{.Config.User}}",
        CONTAINER,
    ]))?;
    assert_eq!(code.trim(), "0 65532:65532");
    Ok(())
}
