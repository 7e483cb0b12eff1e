//! Gets what a Connect worker runs, with `mvn` and into the cache, pinned and checked like the
//! broker.
//!
//! ```text
//! connect-4.1.0/                    *.jar that kafka-4.1.0/ does not hold; both are on the class path
//! mongodb-connector-2.0.1/          the jar with all that it needs
//! debezium-mongodb-3.4.0.Final/     debezium-connector-mongodb/*.jar, from its archive
//! ```
//!
//! Each plug-in is a folder of `plugin.path`, fetched only when a worker asks for it.

use std::{collections::BTreeSet, fs, fs::File, path::Path, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};

use crate::{
    cache::{self, check_sha256},
    connect_plan::Plugin,
    fetch::{
        JARS, KAFKA_VERSION, KafkaLibraries, blocking, check_jars, copy_artifact,
        copy_dependencies, kafka_libraries,
    },
};

const POM: &str = include_str!("connect-pom.xml");
/// One line per jar, as `sha256sum` writes and checks it.
const CONNECT_JARS: &str = include_str!("connect-4.1.0.sha256");

/// A file of Maven Central that holds a plug-in.
struct Archive {
    folder: &'static str,
    artifact: &'static str,
    file: &'static str,
    sha256: &'static str,
    /// Whether it is taken apart, or is a jar that is loaded as it is.
    packed: bool,
}

const MONGODB_CONNECTOR: Archive = Archive {
    folder: "mongodb-connector-2.0.1",
    artifact: "org.mongodb.kafka:mongo-kafka-connect:2.0.1:jar:all",
    file: "mongo-kafka-connect-2.0.1-all.jar",
    sha256: "26e0027798fb20d93d4f4d8ecbc274c2792c232db815fb99f701057ac6f62b08",
    packed: false,
};

const DEBEZIUM_MONGODB: Archive = Archive {
    folder: "debezium-mongodb-3.4.0.Final",
    artifact: "io.debezium:debezium-connector-mongodb:3.4.0.Final:zip:plugin",
    file: "debezium-connector-mongodb-3.4.0.Final-plugin.zip",
    sha256: "5422ea270b2e3b515cab67c7eacc555c4b00d94441126de216fe24b462f0a8f9",
    packed: true,
};

/// A worker's jars, the broker's among them, and a Java that runs them.
#[derive(Clone, Debug)]
pub(crate) struct ConnectLibraries {
    /// The broker's jars, and the Java.
    pub(crate) kafka: KafkaLibraries,
    folder: PathBuf,
}

impl ConnectLibraries {
    /// What `java -cp` takes.
    pub(crate) fn class_path(&self) -> String {
        format!("{}/*:{}", self.folder.display(), self.kafka.class_path().display())
    }
}

/// Returns a worker's jars in the cache, which are fetched if they are not there.
pub(crate) async fn connect_libraries() -> Result<ConnectLibraries> {
    let kafka = kafka_libraries().await?;
    let folder = blocking(|| installed(&format!("connect-{KAFKA_VERSION}"), install_connect));
    Ok(ConnectLibraries { kafka, folder: folder.await? })
}

/// Returns the folder of `plugin` in the cache, which is fetched if it is not there.
pub(crate) async fn plugin_folder(plugin: Plugin) -> Result<PathBuf> {
    let archive = match plugin {
        Plugin::MongodbConnector => &MONGODB_CONNECTOR,
        Plugin::DebeziumMongodb => &DEBEZIUM_MONGODB,
    };
    blocking(|| installed(archive.folder, |folder| install_plugin(archive, folder))).await
}

fn installed(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache::folder()?;
    if let Some(folder) = cache::find(&cache, name) {
        return Ok(folder);
    }
    let start = Instant::now();
    let folder = cache::install(&cache, name, fill)
        .with_context(|| format!("fetch {name} into {}", cache.display()))?;
    tracing::info!("fetched {name} with mvn in {:.0?}", start.elapsed());
    Ok(folder)
}

fn install_connect(folder: &Path) -> Result<()> {
    copy_dependencies(POM, folder)?;
    // The same jar twice would only make the class path longer; the pins are the broker's.
    let wanted: BTreeSet<&str> = names(CONNECT_JARS).collect();
    for jar in names(JARS).filter(|jar| !wanted.contains(jar)) {
        let shared = folder.join(jar);
        if shared.exists() {
            fs::remove_file(&shared).with_context(|| format!("remove {}", shared.display()))?;
        }
    }
    check_jars(folder, CONNECT_JARS)
}

/// The files in a list of `sha256sum`.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| Some(line.split_once("  ")?.1))
}

fn install_plugin(archive: &Archive, folder: &Path) -> Result<()> {
    copy_artifact(archive.artifact, folder)?;
    let file = folder.join(archive.file);
    check_sha256(&file, archive.sha256)?;
    if archive.packed {
        let unpack_error = || format!("unpack {}", file.display());
        let mut packed = zip::ZipArchive::new(File::open(&file)?).with_context(unpack_error)?;
        packed.extract(folder).with_context(unpack_error)?;
        fs::remove_file(&file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_jars_hold_the_worker_and_none_of_the_brokers() {
        let broker: BTreeSet<&str> = names(JARS).collect();
        let worker: BTreeSet<&str> = names(CONNECT_JARS).collect();
        assert!(broker.is_disjoint(&worker));
        for part in ["runtime", "json", "transforms", "file", "api"] {
            let jar = format!("connect-{part}-{KAFKA_VERSION}.jar");
            assert!(worker.contains(jar.as_str()), "{jar}");
        }
        let broker_only = ["kafka-clients", "slf4j-simple-1.7.36"];
        assert!(broker_only.iter().all(|jar| broker.iter().any(|name| name.starts_with(jar))));
    }
}
