//! Asks another worker of the group something over HTTP or HTTPS, once.
//!
//! ```text
//!  request ──► connect (TCP, TLS) ──► HTTP/1.1 ──► status, JSON ──► the answer, or Connect's error of the other worker
//! ```
//!
//! It is for two things: a request of a user that only the leader may carry out is passed on with the user's
//! `Authorization`, and requests between workers are signed. Both are rare, so each has a connection of its own, as in
//! Connect (`RestClient`). What comes back is bounded in time and size; redirections are not followed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use axum::http::uri::{Scheme, Uri};
use axum::http::{Method, Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use millrace_io::tls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::session_key::{MacAlgorithm, SessionKey};
use super::signature::sign;

/// How long a connection may take, encryption included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a request may take in all, as long as Connect lets one of a user take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// No answer of a worker is larger: a thousand connectors with their states come to a megabyte.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What another worker is asked.
pub(crate) struct WorkerRequest<'a> {
    pub(crate) method: Method,
    /// `http[s]://host:port/path?query`
    pub(crate) url: &'a str,
    /// Who asks, if the request is passed on for somebody.
    pub(crate) authorization: Option<&'a HeaderValue>,
    /// JSON.
    pub(crate) body: Option<Bytes>,
    /// What it is signed with, if only workers may ask it.
    pub(crate) signed: Option<(&'a SessionKey, MacAlgorithm)>,
    pub(crate) timeout: Duration,
}

/// What it did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkerAnswer {
    /// 200 to 299.
    pub(crate) status: StatusCode,
    /// JSON, if there is any.
    pub(crate) body: Option<Value>,
}

/// Why there is no answer, in Connect's words.
#[derive(Debug, Error)]
pub(crate) enum ForwardError {
    /// The other worker's own error.
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    #[error("Unexpected status code when handling forwarded request: {}", .status.as_u16())]
    Unexpected { status: StatusCode },
    #[error("IO Error trying to forward REST request: {url} is no address of a worker")]
    Url { url: String },
    #[error(
        "Failed to start RestClient: {url} needs TLS, for which this worker has no settings; set the ssl. properties, \
         or those of listeners.https."
    )]
    NoTls { url: String },
    #[error("IO Error trying to forward REST request: cannot connect to {address}: {error}")]
    Connect { address: String, error: io::Error },
    #[error("IO Error trying to forward REST request: {address} did not answer: {error}")]
    Http { address: String, error: hyper::Error },
    #[error("IO Error trying to forward REST request: the answer of {address} broke off: {error}")]
    Body { address: String, error: axum::Error },
    #[error(
        "IO Error trying to forward REST request: {address} answered {status} with something else than JSON"
    )]
    NoJson { address: String, status: StatusCode },
    #[error("IO Error trying to forward REST request: {url} did not answer within {} s", .after.as_secs())]
    Slow { url: String, after: Duration },
}

impl ForwardError {
    /// The status to answer with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Unexpected { .. }
            | Self::Url { .. }
            | Self::NoTls { .. }
            | Self::Connect { .. }
            | Self::Http { .. }
            | Self::Body { .. }
            | Self::NoJson { .. }
            | Self::Slow { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// See the module.
#[derive(Clone)]
pub(crate) struct WorkerClient {
    tls: Option<Arc<ClientConfig>>,
}

impl WorkerClient {
    /// Without TLS, workers that listen on HTTPS only cannot be asked.
    pub(crate) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls }
    }

    /// Asks, and awaits the answer.
    ///
    /// # Errors
    /// See [`ForwardError`]. The request may have been carried out all the same.
    pub(crate) async fn send(
        &self,
        request: WorkerRequest<'_>,
    ) -> Result<WorkerAnswer, ForwardError> {
        let (url, after) = (request.url, request.timeout);
        let slow = |_| ForwardError::Slow { url: url.to_owned(), after };
        timeout(after, self.exchange(request)).await.map_err(slow)?
    }

    async fn exchange(&self, request: WorkerRequest<'_>) -> Result<WorkerAnswer, ForwardError> {
        let target = Target::parse(request.url)?;
        let address = target.address();
        let no_tls = || ForwardError::NoTls { url: address.clone() };
        let encryption = if target.is_encrypted {
            Some(TlsConnector::from(self.tls.clone().ok_or_else(no_tls)?))
        } else {
            None
        };
        let failed = |error| ForwardError::Connect { address: address.clone(), error };
        let late = |_| failed(io::ErrorKind::TimedOut.into());
        let connecting = TcpStream::connect((target.host.as_str(), target.port));
        let connected = timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?;
        let stream = connected.map_err(failed)?;
        let http = http_request(&target, request);
        let Some(tls) = encryption else {
            return converse(stream, http, &address).await;
        };
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|error| failed(io::Error::other(error)))?;
        let encrypted = timeout(CONNECT_TIMEOUT, tls.connect(name, stream)).await.map_err(late)?;
        converse(encrypted.map_err(failed)?, http, &address).await
    }
}

/// Where a request goes.
struct Target {
    is_encrypted: bool,
    /// As sockets want it: without the brackets of IPv6.
    host: String,
    port: u16,
    /// With the query.
    path: String,
    authority: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, ForwardError> {
        let no_url = || ForwardError::Url { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        let scheme = uri.scheme().ok_or_else(no_url)?;
        let is_encrypted = *scheme == Scheme::HTTPS;
        if !is_encrypted && *scheme != Scheme::HTTP {
            return Err(no_url());
        }
        let host = uri.host().ok_or_else(no_url)?;
        let port = uri.port_u16();
        let authority = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let port = port.unwrap_or(if is_encrypted { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { is_encrypted, host, port, path, authority })
    }

    /// For an error: without the query.
    fn address(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }
}

fn http_request(target: &Target, request: WorkerRequest<'_>) -> Request<Body> {
    let WorkerRequest { method, authorization, body, signed, url: _, timeout: _ } = request;
    let bytes = body.clone().unwrap_or_default();
    let mut http = Request::new(Body::from(bytes.clone()));
    *http.method_mut() = method;
    // Both were parts of an address a moment ago.
    *http.uri_mut() = target.path.parse().unwrap_or_default();
    let host = HeaderValue::try_from(&target.authority).unwrap_or(HeaderValue::from_static(""));
    let headers = http.headers_mut();
    headers.insert(HOST, host);
    headers.insert(ACCEPT, JSON);
    headers.insert(USER_AGENT, HeaderValue::from_static("kafka-connect"));
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    if body.is_some() {
        headers.insert(CONTENT_TYPE, JSON);
    }
    if let Some((key, algorithm)) = signed {
        headers.extend(sign(key, algorithm, &bytes));
    }
    http
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
    address: &str,
) -> Result<WorkerAnswer, ForwardError> {
    let failed = |error| ForwardError::Http { address: address.to_owned(), error };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with the sender and the answer; what fails in it fails there too.
    tokio::spawn(async move { drop(connection.await) });
    let answer = sender.send_request(request).await.map_err(failed)?;
    let status = answer.status();
    let broken = |error| ForwardError::Body { address: address.to_owned(), error };
    let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX).await.map_err(broken)?;
    judge(status, &body, address)
}

#[derive(Deserialize)]
struct ErrorMessage {
    message: String,
}

fn judge(status: StatusCode, body: &[u8], address: &str) -> Result<WorkerAnswer, ForwardError> {
    let no_json = |_| ForwardError::NoJson { address: address.to_owned(), status };
    if status.is_client_error() || status.is_server_error() {
        let ErrorMessage { message } = serde_json::from_slice(body).map_err(no_json)?;
        return Err(ForwardError::Refused { status, message });
    }
    if !status.is_success() {
        return Err(ForwardError::Unexpected { status });
    }
    let is_empty = body.is_empty() || status == StatusCode::NO_CONTENT;
    let body = (!is_empty).then(|| serde_json::from_slice(body)).transpose().map_err(no_json)?;
    Ok(WorkerAnswer { status, body })
}

#[cfg(test)]
mod tests {
    use millrace_io::tls::{TlsClient, TlsSettings};
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;

    use super::*;

    fn request(url: &str) -> WorkerRequest<'_> {
        WorkerRequest {
            method: Method::GET,
            url,
            authorization: None,
            body: None,
            signed: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// Reads one request whose body ends with `]`, if it has one, and gives it back.
    async fn serve_one(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> String {
        let mut read = Vec::new();
        let whole = |text: &str| {
            text.ends_with("\r\n\r\n") && !text.contains("content-length") || text.ends_with(']')
        };
        while !whole(&String::from_utf8_lossy(&read)) {
            read.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Who has the answer may be gone already.
        let _ = stream.shutdown().await;
        String::from_utf8(read).unwrap()
    }

    /// The address of a worker that answers one request, and what it was asked.
    async fn worker(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            serve_one(stream, answer).await
        });
        (address, asked)
    }

    async fn ask(answer: &'static str) -> Result<WorkerAnswer, ForwardError> {
        let (address, _) = worker(answer).await;
        WorkerClient::new(None).send(request(&format!("http://{address}/connectors"))).await
    }

    #[tokio::test]
    async fn request_arrives_as_it_was_meant_and_signed() {
        let answer = "HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{\"name\":\"o\"}";
        let (address, asked) = worker(answer).await;
        let key = SessionKey::new(b"key".to_vec(), "HmacSHA256".to_owned(), 0).unwrap();
        let authorization = HeaderValue::from_static("Basic eDp5");
        let url = format!("http://{address}/connectors/o/tasks?forward=false");
        let mut request = request(&url);
        request.method = Method::POST;
        request.authorization = Some(&authorization);
        request.body = Some(Bytes::from_static(b"[1]"));
        request.signed = Some((&key, MacAlgorithm::HmacSha256));
        let answered = WorkerClient::new(None).send(request).await.unwrap();
        let created =
            WorkerAnswer { status: StatusCode::CREATED, body: Some(json!({"name": "o"})) };
        assert_eq!(answered, created);
        let asked = asked.await.unwrap();
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "[1]");
        let mut lines: Vec<_> = head.lines().collect();
        assert_eq!(lines.remove(0), "POST /connectors/o/tasks?forward=false HTTP/1.1");
        let [(_, signature), _] = sign(&key, MacAlgorithm::HmacSha256, b"[1]");
        let signature = format!("x-connect-authorization: {}", signature.to_str().unwrap());
        let host = format!("host: {address}");
        for line in [
            host.as_str(),
            "accept: application/json",
            "content-type: application/json",
            "authorization: Basic eDp5",
            signature.as_str(),
            "x-connect-request-signature-algorithm: HmacSHA256",
        ] {
            assert!(lines.contains(&line), "{line}: {lines:?}");
        }
    }

    #[tokio::test]
    async fn answers_are_told_apart_as_connect_does() {
        let empty = ask("HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(empty, WorkerAnswer { status: StatusCode::NO_CONTENT, body: None });
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n";
        assert_eq!(ask(chunked).await.unwrap().body, Some(json!([1])));
        for (answer, status, text) in [
            (
                "HTTP/1.1 409 Conflict\r\nContent-Length: 33\r\n\r\n{\"error_code\":409,\"message\":\"no\"}",
                409,
                "no",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
                500,
                "Unexpected status code when handling forwarded request: 302",
            ),
            (
                "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno",
                500,
                "IO Error trying to forward",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1]", 500, "IO Error trying to forward"),
            ("nonsense\r\n\r\n", 500, "IO Error trying to forward REST request: http://127.0.0.1:"),
        ] {
            let error = ask(answer).await.unwrap_err();
            assert_eq!(error.status().as_u16(), status, "{error}");
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }

    #[tokio::test]
    async fn worker_that_cannot_be_asked_is_an_error_with_its_name() {
        let client = WorkerClient::new(None);
        for url in ["", "127.0.0.1:8083", "ftp://127.0.0.1/", "http://", "http://a b/"] {
            let error = client.send(request(url)).await.unwrap_err();
            assert!(matches!(error, ForwardError::Url { .. }), "{error}");
        }
        let (address, _) = worker("").await;
        let error = client.send(request(&format!("https://{address}/"))).await.unwrap_err();
        assert!(error.to_string().contains("has no settings"), "{error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        // It takes connections and says nothing.
        let mut silent = request(&url);
        silent.timeout = Duration::from_millis(50);
        let error = client.send(silent).await.unwrap_err();
        assert!(matches!(error, ForwardError::Slow { .. }), "{error}");
        drop(listener);
        let error = client.send(request(&url)).await.unwrap_err();
        assert!(matches!(error, ForwardError::Connect { .. }), "{error}");
    }

    #[tokio::test]
    async fn worker_is_asked_over_tls_if_its_certificate_is_trusted() {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider);
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate.clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_one(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").await;
                }
            }
        });
        let trusting = |authority| {
            let authorities = Some(vec![authority]);
            let settings = TlsSettings { authorities, identity: None, checks_host_name: true };
            WorkerClient::new(Some(TlsClient::new(settings).unwrap().config()))
        };
        let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let error = trusting(other.cert.der().clone()).send(request(&url)).await.unwrap_err();
        assert!(matches!(error, ForwardError::Connect { .. }), "{error}");
        let answer = trusting(certificate).send(request(&url)).await.unwrap();
        assert_eq!(answer.body, Some(json!([])));
        serving.abort();
    }
}
