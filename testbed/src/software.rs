//! What servers are made of: programs of this machine, or of an image. The command lines are the same.
//!
//! ```text
//!            native                                  image
//! mongod     <cache>/mongodb-6.0.27/mongod           mongod
//! java       JAVA_HOME/bin/java                      java
//! jars       <cache>/kafka-4.1.0/*                   /opt/kafka/libs/*      as in apache/kafka
//! ```

use std::{ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    docker::{
        Docker,
        image::{Image, Images},
    },
    fetch::{self, KafkaLibraries},
    limits::Limits,
};

/// Where Kafka's jars are in an image.
pub(crate) const IMAGE_JARS: &str = "/opt/kafka/libs";

/// How the servers of one testbed are run.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// As processes of this machine.
    Native,
    /// In containers.
    Docker(Docker, Images),
}

/// A command line, and where and with what it is run.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) command: Command,
    pub(crate) limits: Limits,
}

impl Invocation {
    /// What a person would have typed.
    pub(crate) fn line(&self) -> String {
        let arguments: Vec<_> = self.command.get_args().map(OsStr::to_string_lossy).collect();
        format!("{} {}", self.command.get_program().to_string_lossy(), arguments.join(" "))
    }
}

/// A mongod that runs here.
#[derive(Clone, Debug)]
pub(crate) enum Mongod {
    Native(fetch::Mongod),
    Image(Image),
}

impl Mongod {
    /// Fetches it, or takes it from the image of the plan.
    pub(crate) async fn of(engine: &Engine) -> Result<Self> {
        match engine {
            Engine::Native => Ok(Self::Native(fetch::mongod().await?)),
            Engine::Docker(_, images) => {
                Ok(Self::Image(images.mongodb.clone().context("no image of MongoDB was found")?))
            }
        }
    }

    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Native(mongod) => mongod.command(),
            Self::Image(_) => Command::new("mongod"),
        }
    }

    pub(crate) fn image(&self) -> Option<&Image> {
        match self {
            Self::Native(_) => None,
            Self::Image(image) => Some(image),
        }
    }
}

/// A Java and Kafka's jars.
#[derive(Clone, Debug)]
pub(crate) enum KafkaSoftware {
    Native(KafkaLibraries),
    Image(Image),
}

impl KafkaSoftware {
    /// Fetches it, or takes it from the image of the plan.
    pub(crate) async fn of(engine: &Engine) -> Result<Self> {
        match engine {
            Engine::Native => Ok(Self::Native(fetch::kafka_libraries().await?)),
            Engine::Docker(_, images) => {
                Ok(Self::Image(images.kafka.clone().context("no image of Kafka was found")?))
            }
        }
    }

    pub(crate) fn java(&self) -> Command {
        match self {
            Self::Native(libraries) => Command::new(&libraries.java),
            Self::Image(_) => Command::new("java"),
        }
    }

    /// The major version of Java; that of an image is known when it has run.
    pub(crate) fn java_version(&self) -> Option<u32> {
        match self {
            Self::Native(libraries) => Some(libraries.java_version),
            Self::Image(_) => None,
        }
    }

    /// What `java -cp` takes.
    pub(crate) fn class_path(&self) -> PathBuf {
        match self {
            Self::Native(libraries) => libraries.class_path(),
            Self::Image(_) => PathBuf::from(IMAGE_JARS).join("*"),
        }
    }

    pub(crate) fn image(&self) -> Option<&Image> {
        match self {
            Self::Native(_) => None,
            Self::Image(image) => Some(image),
        }
    }
}
