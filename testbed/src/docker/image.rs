//! Which images servers run from, and whether the daemon has them.
//!
//! ```text
//! MILLRACE_MONGODB_IMAGE / MILLRACE_KAFKA_IMAGE set   that one; pulled if it is not there
//! else mongo:8.0, apache/kafka:4.1.0                  if it is there
//! else millrace/mongo:…, millrace/kafka:…             if it is there: built by `testbed images`
//! else the default is pulled                          `--servers docker` only
//! ```

use std::{env, fmt, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use testcontainers::{GenericImage, runners::AsyncRunner as _};

use super::{Docker, run};
use crate::{fetch, plan::Plan};

/// The setting that names the image of MongoDB.
pub const MONGODB_IMAGE: &str = "MILLRACE_MONGODB_IMAGE";
/// The setting that names the image of Kafka.
pub const KAFKA_IMAGE: &str = "MILLRACE_KAFKA_IMAGE";
const MONGODB_DEFAULT: &str = "mongo:8.0";
const KAFKA_DEFAULT: &str = "apache/kafka:4.1.0";
/// How long a pull may take.
const PULL_LIMIT: Duration = Duration::from_secs(600);

/// `name:tag`, or `name@sha256:digest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    name: String,
    tag: String,
}

/// The images of a plan; `None` for what it has not.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) mongodb: Option<Image>,
    pub(crate) kafka: Option<Image>,
}

/// Whether an image that is not there may be fetched, which takes minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pull {
    /// As the last resort.
    IfMissing,
    /// What is not there is not there.
    Never,
}

/// One kind of server and where its image may come from, best first.
struct Wanted {
    setting: &'static str,
    given: Option<String>,
    default: &'static str,
    built_here: Vec<String>,
}

impl Image {
    /// Reads `name[:tag]`; without a tag `latest` is meant, as everywhere.
    ///
    /// # Errors
    /// When there is no name or no tag after the colon.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // A colon before a slash belongs to the port of a registry.
        let after_slash = text.rfind('/').map_or(0, |slash| slash + 1);
        let colon = text.get(after_slash..).and_then(|rest| rest.rfind(':'));
        let (name, tag) = match colon {
            Some(colon) => text.split_at(after_slash + colon),
            None => (text, ":latest"),
        };
        let tag = tag.trim_start_matches(':');
        ensure!(
            !name.is_empty() && !tag.is_empty() && !text.contains(char::is_whitespace),
            "{text:?} is no image: write it as name:tag, such as {MONGODB_DEFAULT}"
        );
        Ok(Self { name: name.to_owned(), tag: tag.to_owned() })
    }

    pub(crate) fn generic(&self) -> GenericImage {
        GenericImage::new(self.name.clone(), self.tag.clone())
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

impl Images {
    /// Finds an image for every server of `plan`.
    ///
    /// # Errors
    /// When one is neither there nor to be had: which were looked for, and how to build one here.
    pub(crate) async fn find(docker: &Docker, plan: &Plan, pull: Pull) -> Result<Self> {
        let mongodb = Wanted {
            setting: MONGODB_IMAGE,
            given: given(MONGODB_IMAGE),
            default: MONGODB_DEFAULT,
            built_here: fetch::mongodb_versions().map(mongodb_built_here).collect(),
        };
        let kafka = Wanted {
            setting: KAFKA_IMAGE,
            given: given(KAFKA_IMAGE),
            default: KAFKA_DEFAULT,
            built_here: vec![kafka_built_here()],
        };
        let found = Self {
            mongodb: match plan.mongodb {
                Some(_) => Some(mongodb.find(docker, pull).await?),
                None => None,
            },
            kafka: match plan.kafka {
                Some(_) => Some(kafka.find(docker, pull).await?),
                None => None,
            },
        };
        Ok(found)
    }
}

impl Wanted {
    async fn find(&self, docker: &Docker, pull: Pull) -> Result<Image> {
        let first = Image::parse(self.given.as_deref().unwrap_or(self.default))
            .with_context(|| format!("read {}", self.setting))?;
        let mut looked_for = vec![first.clone()];
        if self.given.is_none() {
            for name in &self.built_here {
                looked_for.push(Image::parse(name)?);
            }
        }
        for image in &looked_for {
            if docker.has(image).await? {
                return Ok(image.clone());
            }
        }
        let why = match pull {
            Pull::Never => "it was not pulled".to_owned(),
            Pull::IfMissing => match docker.pull(&first).await {
                Ok(()) => return Ok(first),
                Err(error) => format!("{error:#}"),
            },
        };
        let names: Vec<_> = looked_for.iter().map(ToString::to_string).collect();
        bail!(
            "find an image: the Docker daemon has none of {}; {why}; pull one, or name one that is \
             there with {}, or build one from the native files with `millrace testbed images`",
            names.join(", "),
            self.setting
        )
    }
}

impl Docker {
    /// Whether the daemon has `image`.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn has(&self, image: &Image) -> Result<bool> {
        use testcontainers::bollard::errors::Error;
        let (api, name) = (self.api.clone(), image.to_string());
        run(async move {
            match api.inspect_image(&name).await {
                Ok(_) => Ok(true),
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
                Err(error) => Err(error).context("ask the Docker daemon for an image"),
            }
        })
        .await
    }

    async fn pull(&self, image: &Image) -> Result<()> {
        tracing::info!("pulling {image}");
        let generic = image.generic();
        run(async move {
            tokio::time::timeout(PULL_LIMIT, generic.pull_image())
                .await
                .with_context(|| format!("not within {PULL_LIMIT:?}"))?
                .map(drop)
                .map_err(anyhow::Error::from)
        })
        .await
        .with_context(|| format!("pull {image}"))
    }
}

/// The name of the image that is built here from that version.
pub(crate) fn mongodb_built_here(version: &str) -> String {
    format!("millrace/mongo:{version}")
}

/// The name of the image that is built here.
pub(crate) fn kafka_built_here() -> String {
    format!("millrace/kafka:{}", fetch::KAFKA_VERSION)
}

fn given(setting: &str) -> Option<String> {
    env::var(setting).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_is_read_with_its_tag_and_registry() {
        for (text, name, tag) in [
            ("mongo:8.0", "mongo", "8.0"),
            ("mongo", "mongo", "latest"),
            ("localhost:5000/a/mongo", "localhost:5000/a/mongo", "latest"),
            ("localhost:5000/a/mongo:8", "localhost:5000/a/mongo", "8"),
            ("mongo@sha256:abc", "mongo@sha256", "abc"),
        ] {
            let image = Image::parse(text).unwrap();
            assert_eq!((image.name.as_str(), image.tag.as_str()), (name, tag), "{text}");
        }
        for text in ["", ":8", "mongo:", "a b"] {
            assert!(Image::parse(text).is_err(), "{text}");
        }
    }
}
