//! The Docker daemon: whether it answers, what it runs for us, and the removal of what was left behind.
//!
//! ```text
//! container     --network host, one per server     docker/container.rs
//!   label io.millrace.testbed.folder  the run folder: all servers of one set have the same
//!   label io.millrace.testbed.owner   pid/start/boot of the process that started it, or `detached`
//! ```
//!
//! Host networking, because a published port sends every byte on loopback through the daemon's own
//! user-space proxy, which would then be part of what is measured; and because 127.0.0.1 is then the
//! same place for servers, clients and the proxies that faults are made with.
//!
//! All calls run on one runtime of their own. A connection to the daemon belongs to the runtime that
//! opened it, and the callers are tests, each with a runtime that ends before the servers do.

pub(crate) mod build;
pub(crate) mod container;
pub(crate) mod image;

use std::{collections::HashMap, env, path::Path, sync::mpsc, time::Duration};

use anyhow::{Context as _, Result};
use testcontainers::{
    bollard::{
        self,
        query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
    },
    core::client::docker_client_instance,
};

use crate::{detached::Tracked, own_runtime::OwnRuntime, process::POLL};

/// Names the run folder of a container's set.
pub(crate) const FOLDER_LABEL: &str = "io.millrace.testbed.folder";
/// Names the process that a container must not outlive.
pub(crate) const OWNER_LABEL: &str = "io.millrace.testbed.owner";
/// The owner of a container that was left running on purpose.
const DETACHED_OWNER: &str = "detached";
/// How long the daemon may take to say that it is there.
const PING_LIMIT: Duration = Duration::from_secs(3);
/// How long a removal that another process has begun may take.
const REMOVAL_LIMIT: Duration = Duration::from_secs(30);
/// Two workers: a container that is dropped on one of them blocks it until it is removed.
static RUNTIME: OwnRuntime = OwnRuntime::new("testbed-docker", 2);

/// A daemon that has answered.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    api: bollard::Docker,
}

/// A container of the testbed, running or not.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    id: String,
    /// `mongod-0`, `kafka-0`.
    pub(crate) role: String,
    pub(crate) running: bool,
}

/// Who must be alive for a container to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This process.
    Process,
    /// Nobody: it stays until it is taken down.
    Nobody,
}

impl Docker {
    /// Reaches the daemon at `DOCKER_HOST`, else at the system's socket.
    ///
    /// # Errors
    /// When it does not answer within 3 s.
    pub(crate) async fn connect() -> Result<Self> {
        let place = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let place = place.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        run(async {
            let api = docker_client_instance().await?;
            tokio::time::timeout(PING_LIMIT, api.ping())
                .await
                .with_context(|| format!("no answer within {PING_LIMIT:?}"))??;
            Ok(Self { api })
        })
        .await
        .with_context(|| {
            format!(
                "reach the Docker daemon at {place}: start it, or let DOCKER_HOST name the one that \
                 runs, or use --servers native"
            )
        })
    }

    /// Removes all containers of one run folder, running or not, with their volumes.
    ///
    /// # Errors
    /// When the daemon refuses; what was removed before stays so.
    pub(crate) async fn remove_set(&self, folder: &Path) -> Result<Vec<Found>> {
        self.remove(format!("{FOLDER_LABEL}={}", folder.display()), |_| true).await
    }

    /// All containers of one run folder.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(crate) async fn find_set(&self, folder: &Path) -> Result<Vec<Found>> {
        let label = format!("{FOLDER_LABEL}={}", folder.display());
        Ok(self.list(label).await?.into_iter().map(|(found, _)| found).collect())
    }

    /// Removes containers of ours whose owner has ended without doing so, or whose folder is gone.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub(crate) async fn remove_leftovers(&self) -> Result<Vec<Found>> {
        self.remove(OWNER_LABEL.to_owned(), is_leftover).await
    }

    async fn remove(
        &self,
        label: String,
        is_meant: impl Fn(&HashMap<String, String>) -> bool,
    ) -> Result<Vec<Found>> {
        let mut removed = Vec::new();
        for (found, labels) in self.list(label).await? {
            if !is_meant(&labels) {
                continue;
            }
            let (api, id) = (self.api.clone(), found.id.clone());
            run(async move { remove_container(&api, &id).await }).await.with_context(|| {
                format!("remove the container of {} ({})", found.role, found.id)
            })?;
            removed.push(found);
        }
        Ok(removed)
    }

    async fn list(&self, label: String) -> Result<Vec<(Found, HashMap<String, String>)>> {
        let api = self.api.clone();
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let all = run(async move { Ok(api.list_containers(Some(options)).await?) })
            .await
            .context("ask the Docker daemon for its containers")?;
        Ok(all
            .into_iter()
            .map(|container| {
                let labels = container.labels.unwrap_or_default();
                let role = labels.get(container::ROLE_LABEL).cloned().unwrap_or_default();
                let running = container.state.is_some_and(|state| state.as_ref() == "running");
                (Found { id: container.id.unwrap_or_default(), role, running }, labels)
            })
            .collect())
    }
}

impl Owner {
    fn label(self) -> Result<String> {
        match self {
            Self::Process => Tracked::this_process().map(|tracked| tracked.identity()),
            Self::Nobody => Ok(DETACHED_OWNER.to_owned()),
        }
    }
}

fn is_leftover(labels: &HashMap<String, String>) -> bool {
    let folder_is_gone = labels.get(FOLDER_LABEL).is_some_and(|folder| !Path::new(folder).is_dir());
    match labels.get(OWNER_LABEL).map(String::as_str) {
        Some(DETACHED_OWNER) => folder_is_gone,
        // What cannot be read is not ours to judge.
        Some(owner) => Tracked::from_identity(owner).is_some_and(|owner| !owner.is_running()),
        None => false,
    }
}

/// Removes a container with its volumes; done when it is gone, whoever removes it.
///
/// Two may want the same one: a process that looks for leftovers, and the owner or another such process.
/// The daemon answers the second with 409 while the first is at it, and with 404 afterwards.
async fn remove_container(api: &bollard::Docker, id: &str) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match api.remove_container(id, Some(options)).await {
        Err(error) if is_status(&error, 404) => return Ok(()),
        Err(error) if is_status(&error, 409) => {}
        result => return Ok(result?),
    }
    let gone = async {
        loop {
            match api.inspect_container(id, None).await {
                Err(error) if is_status(&error, 404) => return Ok(()),
                Err(error) => return Err(error.into()),
                Ok(_) => tokio::time::sleep(POLL).await,
            }
        }
    };
    tokio::time::timeout(REMOVAL_LIMIT, gone).await.with_context(|| {
        format!("another process is removing it, and it is still there after {REMOVAL_LIMIT:?}")
    })?
}

fn is_status(error: &bollard::errors::Error, status: u16) -> bool {
    use bollard::errors::Error::DockerResponseServerError;
    matches!(error, DockerResponseServerError { status_code, .. } if *status_code == status)
}

/// Runs `work` on Docker's runtime. Goes on there when the caller stops waiting.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    RUNTIME.get()?.spawn(work).await.context("the thread that speaks to Docker panicked")?
}

/// Runs `work` on Docker's runtime and blocks until it is done.
pub(crate) fn wait<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (reply, answer) = mpsc::sync_channel(1);
    RUNTIME.get()?.spawn(async move {
        // A receiver that is gone has panicked elsewhere.
        let _ = reply.send(work.await);
    });
    answer.recv().context("the thread that speaks to Docker panicked")?
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A daemon that gives each request the next of `answers`, and returns the methods it was asked with.
    async fn scripted(
        answers: &'static [(u16, &'static str)],
    ) -> (bollard::Docker, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serve = tokio::spawn(async move {
            let mut methods = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4_096];
                let read = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]);
                methods.push(request.split(' ').next().unwrap().to_owned());
                let answer = format!(
                    "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            methods
        });
        let version = bollard::API_DEFAULT_VERSION;
        (bollard::Docker::connect_with_http(&address, 5, version).unwrap(), serve)
    }

    #[tokio::test]
    async fn container_that_another_process_removes_is_waited_for() {
        const BUSY: (u16, &str) = (409, r#"{"message":"removal is already in progress"}"#);
        const GONE: (u16, &str) = (404, r#"{"message":"no such container"}"#);
        let (api, asked) = scripted(&[BUSY, (200, "{}"), (200, "{}"), GONE]).await;
        remove_container(&api, "c").await.unwrap();
        assert_eq!(asked.await.unwrap(), ["DELETE", "GET", "GET", "GET"]);

        let (api, asked) = scripted(&[GONE]).await;
        remove_container(&api, "c").await.unwrap();
        assert_eq!(asked.await.unwrap(), ["DELETE"]);

        let (api, _) = scripted(&[(500, r#"{"message":"disk on fire"}"#)]).await;
        let error = remove_container(&api, "c").await.unwrap_err();
        assert!(error.to_string().contains("disk on fire"), "{error}");
    }

    fn labels(owner: &str, folder: &Path) -> HashMap<String, String> {
        HashMap::from([
            (OWNER_LABEL.to_owned(), owner.to_owned()),
            (FOLDER_LABEL.to_owned(), folder.display().to_string()),
        ])
    }

    #[test]
    fn container_is_left_over_when_its_owner_or_its_folder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let gone = here.join("gone");
        let own = Owner::Process.label().unwrap();
        assert!(!is_leftover(&labels(&own, here)));
        let (pid, rest) = own.split_once('/').unwrap();
        let (_, boot) = rest.split_once('/').unwrap();
        assert!(is_leftover(&labels(&format!("{pid}/1/{boot}"), here)));
        assert!(!is_leftover(&labels("detached", here)));
        assert!(is_leftover(&labels("detached", &gone)));
        assert!(!is_leftover(&labels("someone else's", &gone)));
        assert!(!is_leftover(&HashMap::new()));
    }
}
