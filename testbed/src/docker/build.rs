//! Builds images from the native files, for machines that reach no registry.
//!
//! ```text
//! millrace/mongo:<version>   /usr/bin/mongod                      /opt/lib/  the shared libraries
//! millrace/kafka:4.1.0       /opt/kafka/libs/*.jar  /opt/java/    that `ldd` names
//! both                       /lib64/ld-linux-x86-64.so.2, /tmp; from scratch: no shell, no system
//! ```
//!
//! They hold what the testbed runs and nothing else; the same files as native servers, so that runs
//! on both can be compared.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use testcontainers::{GenericBuildableImage, runners::AsyncBuilder as _};

use super::{
    Docker,
    image::{KAFKA_IMAGE, MONGODB_IMAGE, kafka_built_here, mongodb_built_here},
    run,
};
use crate::{fetch, process, software::IMAGE_JARS};

/// Where the image has its libraries, and where the loader is told to look.
const LIBRARIES: &str = "opt/lib";
/// Where the image has its Java.
const JAVA: &str = "opt/java";
/// Parts of a Java that are for building programs.
const NOT_FOR_RUNNING: [&str; 5] = ["jmods", "src.zip", "include", "man", "demo"];

/// Parts of glibc that the codecs within jars are linked against: `ldd` does not look into a jar.
const FOR_CODECS_IN_JARS: [&str; 3] = ["libpthread.so.0", "libdl.so.2", "librt.so.1"];

/// An image that the daemon now has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuiltImage {
    /// `millrace/mongo:6.0.27`
    pub name: String,
    /// The setting that makes it the one that is used, whatever other images are there.
    pub setting: &'static str,
    /// What it was made of, in MiB.
    pub size_mb: u64,
}

/// Builds the images of MongoDB and Kafka; native files that are missing are fetched first.
///
/// Takes about half a minute. An image of the same name is replaced.
///
/// # Errors
/// When no Docker daemon answers or it refuses; when native files cannot be had; when a program
/// wants a library that is not on this machine.
pub async fn build_images() -> Result<Vec<BuiltImage>> {
    let docker = Docker::connect().await?;
    let (mongod, kafka) = tokio::try_join!(fetch::mongod(), fetch::kafka_libraries())?;
    let version = mongod.version();
    let mongodb_name = mongodb_built_here(&version);
    let kafka_name = kafka_built_here();
    let mongodb = stage("mongodb", move |root| stage_mongod(root, &mongod)).await?;
    let kafka = stage("kafka", move |root| stage_kafka(root, &kafka)).await?;
    let mut built = Vec::new();
    for (name, setting, root) in
        [(mongodb_name, MONGODB_IMAGE, mongodb), (kafka_name, KAFKA_IMAGE, kafka)]
    {
        tracing::info!("building {name}");
        docker.build(&name, root.path()).await?;
        let size_mb = size_bytes(root.path())? >> 20;
        built.push(BuiltImage { name, setting, size_mb });
    }
    Ok(built)
}

impl Docker {
    async fn build(&self, name: &str, root: &Path) -> Result<()> {
        let (repository, tag) = name.rsplit_once(':').context("an image without a tag")?;
        let dockerfile = format!(
            "FROM scratch\nCOPY root/ /\nENV PATH=/usr/bin:/{JAVA}/bin LD_LIBRARY_PATH=/{LIBRARIES}\n"
        );
        let image = GenericBuildableImage::new(repository, tag)
            .with_dockerfile_string(dockerfile)
            .with_file(root, "root");
        run(async move { Ok(image.build_image().await.map(drop)?) })
            .await
            .with_context(|| format!("build the image {name}"))
    }
}

async fn stage(
    name: &str,
    fill: impl FnOnce(&Path) -> Result<()> + Send + 'static,
) -> Result<tempfile::TempDir> {
    let what = format!("gather the files of the {name} image");
    let staged = tokio::task::spawn_blocking(move || -> Result<tempfile::TempDir> {
        let root = tempfile::Builder::new().prefix("millrace-image-").tempdir()?;
        fs::create_dir_all(root.path().join("tmp"))?;
        fill(root.path())?;
        Ok(root)
    });
    staged.await?.context(what)
}

fn stage_mongod(root: &Path, mongod: &fetch::Mongod) -> Result<()> {
    let (program, libraries) = mongod.files();
    copy(program, &root.join("usr/bin/mongod"))?;
    copy_libraries(root, &[program.to_owned()], libraries).map(drop)
}

fn stage_kafka(root: &Path, kafka: &fetch::KafkaLibraries) -> Result<()> {
    let jars = root.join(IMAGE_JARS.trim_start_matches('/'));
    copy_folder(&kafka.folder, &jars, &[])?;
    let home = java_home(&kafka.java)?;
    copy_folder(&home, &root.join(JAVA), &NOT_FOR_RUNNING)?;
    let mut binaries = vec![home.join("bin/java")];
    let lib = home.join("lib");
    for folder in [lib.clone(), lib.join("server")] {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "so") {
                binaries.push(path);
            }
        }
    }
    let libraries = copy_libraries(root, &binaries, &lib)?;
    let libc = libraries.iter().find(|path| path.ends_with("libc.so.6"));
    let folder = libc.and_then(|libc| libc.parent()).context("a Java without libc.so.6")?;
    // A libc that has none of these files is one that no codec asks for them.
    for library in FOR_CODECS_IN_JARS.map(|name| folder.join(name)).iter().filter(|it| it.exists())
    {
        copy(library, &in_image(root, library)?)?;
    }
    Ok(())
}

/// The folder that a `java` on PATH belongs to.
fn java_home(java: &Path) -> Result<PathBuf> {
    let mut command = Command::new(java);
    command.args(["-XshowSettings:properties", "-version"]);
    let text = process::run(command)?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("java.home = "));
    line.map(PathBuf::from).with_context(|| format!("{} does not tell its home", java.display()))
}

/// Copies what the loader would load for `binaries`, and the loader itself; says from where.
fn copy_libraries(root: &Path, binaries: &[PathBuf], own: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for binary in binaries {
        let mut ldd = Command::new("ldd");
        ldd.arg(binary).env("LD_LIBRARY_PATH", own);
        let text =
            process::run(ldd).with_context(|| format!("ask what {} loads", binary.display()))?;
        let is_program = binary.extension().is_none();
        for line in text.lines() {
            match loaded(line) {
                Loaded::Library(path) => {
                    found.insert(path);
                }
                Loaded::Missing(name) if is_program => {
                    bail!("{} wants {name}, which is not on this machine", binary.display())
                }
                // Parts of Java that draw or print; a broker does neither.
                Loaded::Missing(_) | Loaded::Nothing => {}
            }
        }
    }
    for path in &found {
        copy(path, &in_image(root, path)?)?;
    }
    Ok(found)
}

/// Where a library of this machine lies in the image. The path of the loader is written into every program.
fn in_image(root: &Path, library: &Path) -> Result<PathBuf> {
    let name = library.file_name().context("a library without a name")?;
    Ok(if name.to_string_lossy().starts_with("ld-linux") {
        root.join(library.strip_prefix("/").unwrap_or(library))
    } else {
        root.join(LIBRARIES).join(name)
    })
}

/// What a line of `ldd` says.
#[derive(Debug, PartialEq, Eq)]
enum Loaded {
    Library(PathBuf),
    Missing(String),
    /// The kernel's own, or a program that loads nothing.
    Nothing,
}

fn loaded(line: &str) -> Loaded {
    let line = line.trim();
    let (name, target) = line.split_once(" => ").unwrap_or(("", line));
    if target == "not found" {
        return Loaded::Missing(name.to_owned());
    }
    match target.split_once(" (0x") {
        Some((path, _)) if path.starts_with('/') => Loaded::Library(PathBuf::from(path)),
        Some(_) | None => Loaded::Nothing,
    }
}

/// Copies a folder; links become what they lead to, for their targets may lie elsewhere.
fn copy_folder(from: &Path, to: &Path, without: &[&str]) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if without.iter().any(|left_out| name == *left_out) {
            continue;
        }
        // A link that leads nowhere is left out, as it is of no use where it is.
        let Ok(kind) = fs::metadata(entry.path()) else { continue };
        let target = to.join(&name);
        if kind.is_dir() {
            copy_folder(&entry.path(), &target, without)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(from, to));
    copied.with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn size_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() { size_bytes(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_ldd_is_a_library_a_gap_or_nothing() {
        let library = |path: &str| Loaded::Library(PathBuf::from(path));
        for (line, is) in [
            (
                "\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)",
                library("/lib/x86_64-linux-gnu/libm.so.6"),
            ),
            ("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)", library("/lib64/ld-linux-x86-64.so.2")),
            ("\tlibssl.so.1.1 => not found", Loaded::Missing("libssl.so.1.1".to_owned())),
            ("\tlinux-vdso.so.1 (0x00007ffd)", Loaded::Nothing),
            ("\tstatically linked", Loaded::Nothing),
        ] {
            assert_eq!(loaded(line), is, "{line}");
        }
    }

    #[test]
    fn program_is_staged_with_all_that_it_loads() {
        let root = tempfile::tempdir().unwrap();
        let cat = PathBuf::from("/bin/cat");
        copy_libraries(root.path(), std::slice::from_ref(&cat), Path::new("")).unwrap();
        let libraries = fs::read_dir(root.path().join(LIBRARIES)).unwrap();
        let names: Vec<_> = libraries.map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().any(|name| name == "libc.so.6"), "{names:?}");
        assert!(root.path().join("lib64").read_dir().unwrap().next().is_some());
    }
}
