//! The REST interface of a Connect worker: one blocking request per connection.
//!
//! ```text
//! POST /connectors HTTP/1.0          HTTP/1.1 201 Created
//! Host: 127.0.0.1:8083               Content-Length: 345
//! Content-Length: 123                …
//!                                    {"name": …}
//! {"name": …}                        (the server closes)
//! ```
//!
//! HTTP/1.0, so the answer comes in one piece and ends with the connection. No TLS, no redirects.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// How long one request may take: creating a connector connects to its servers.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// What is asked of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        })
    }
}

/// Asks the worker at `127.0.0.1:port`. Returns the answer's JSON; null when it has no body.
///
/// # Errors
/// When nobody answers, and when the answer's status is not 2xx: what the worker says about it.
pub(crate) fn ask(port: u16, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    exchange(port, method, path, body)
        .with_context(|| format!("ask the Connect worker: {method} http://127.0.0.1:{port}{path}"))
}

fn exchange(port: u16, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("read the answer")?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        let length = value.trim().parse::<usize>().ok();
        length.filter(|_| name.eq_ignore_ascii_case("content-length"))
    });
    ensure!(
        length.is_none_or(|length| length == body.len()),
        "the answer breaks off after {} bytes of {length:?}",
        body.len()
    );
    ensure!(status.starts_with('2'), "the worker answers {status}: {body}");
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(body).with_context(|| format!("the answer is no JSON: {body}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answer_is_the_body_behind_the_head() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-length: 9\r\n\r\n{\"a\": 1}\n";
        assert_eq!(parse(answer).unwrap(), json!({ "a": 1 }));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Value::Null);
    }

    #[test]
    fn answer_that_breaks_off_is_refused() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n";
        for cut in 0..answer.len() {
            assert!(parse(answer.get(..cut).unwrap()).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn refusal_carries_what_the_worker_says() {
        let answer = b"HTTP/1.1 409 Conflict\r\n\r\n{\"message\":\"Connector c already exists\"}";
        let error = parse(answer).unwrap_err().to_string();
        assert!(error.contains("409") && error.contains("already exists"), "{error}");
    }
}
