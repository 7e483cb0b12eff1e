//! The MongoDB connector as a plug-in that says what it holds, so that a worker need not look through all its classes.
//!
//! ```text
//! <folder>/mongodb/  mongo-kafka-connect-2.0.1-all.jar ──► the testbed's cache
//!                    services.jar   META-INF/services/org.apache.kafka.connect.{source.Source,sink.Sink}Connector
//! ```
//!
//! Connect's own `connect-plugin-path sync-manifests` makes the same of a plug-in without them. Half a dozen workers of
//! a test start in a third of the time with it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use millrace_testbed::Testbed;
use tempfile::TempDir;

const JAR: &str = "mongodb-connector-2.0.1/mongo-kafka-connect-2.0.1-all.jar";
const CLASSES: [(&str, &str); 2] = [
    ("source.SourceConnector", "com.mongodb.kafka.connect.MongoSourceConnector"),
    ("sink.SinkConnector", "com.mongodb.kafka.connect.MongoSinkConnector"),
];

/// What `plugin.path` names; with `plugin.discovery=service_load`.
pub(crate) fn folder(testbed: &Testbed) -> Result<String> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    if FOLDER.get().is_none() {
        let folder = made(testbed)?;
        // Another test may have been faster: then that one's is used.
        drop(FOLDER.set(folder));
    }
    Ok(FOLDER.get().context("no folder")?.path().display().to_string())
}

fn made(testbed: &Testbed) -> Result<TempDir> {
    let libraries = testbed.kafka().libraries().context("workers of Java need native servers")?;
    let cache = libraries.parent().context("no cache")?;
    let folder = TempDir::with_prefix("millrace-plugin-")?;
    let (plugin, made) = (folder.path().join("mongodb"), folder.path().join("made"));
    let services = made.join("META-INF/services");
    fs::create_dir_all(&plugin)?;
    fs::create_dir_all(&services)?;
    for (kind, class) in CLASSES {
        fs::write(services.join(format!("org.apache.kafka.connect.{kind}")), format!("{class}\n"))?;
    }
    let mut jar = Command::new("jar");
    jar.arg("--create")
        .arg("--file")
        .arg(plugin.join("services.jar"))
        .arg("-C")
        .arg(&made)
        .arg(".");
    let status = jar.status().context("could not run jar: install a JDK, 17 or newer")?;
    ensure!(status.success(), "jar: {status}");
    fs::remove_dir_all(&made)?;
    // The testbed fetches it before it starts a worker.
    symlink(cache.join(JAR), plugin.join("connector.jar"))?;
    Ok(folder)
}
