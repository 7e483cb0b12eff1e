//! Requests at a rate, over connections that stay open. Open loop: an answer counts from the moment at which its
//! request was due, whenever it could be sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::harness::rest::Ask;

const CONNECTIONS: usize = 8;
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// What came of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Its place among all requests.
    pub(crate) request: usize,
    pub(crate) status: u16,
    /// Since it was due.
    pub(crate) took: Duration,
}

/// Sends all requests to `address` (`host:port`) at a rate. Returns what came of them.
pub(crate) async fn press(
    address: &str,
    requests: Vec<Ask>,
    rate_per_s: f64,
) -> Result<Vec<Outcome>> {
    let (address, requests) = (address.to_owned(), Arc::new(requests));
    let start = Instant::now() + Duration::from_millis(50);
    let connections = (0..CONNECTIONS).map(|first| {
        let (address, requests) = (address.clone(), Arc::clone(&requests));
        tokio::task::spawn_blocking(move || {
            let mut connection = None;
            let mut outcomes = Vec::new();
            for request in (first..requests.len()).step_by(CONNECTIONS) {
                let due = start + Duration::from_secs_f64(request as f64 / rate_per_s);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let ask = &requests[request];
                let status =
                    exchange(&mut connection, &address, ask).with_context(|| format!("{ask:?}"))?;
                outcomes.push(Outcome { request, status, took: due.elapsed() });
            }
            anyhow::Ok(outcomes)
        })
    });
    let connections: Vec<_> = connections.collect();
    let mut outcomes = Vec::new();
    for connection in connections {
        outcomes.extend(connection.await??);
    }
    Ok(outcomes)
}

/// The time below which `share` of all answers came.
pub(crate) fn quantile(outcomes: &[Outcome], share: f64) -> Duration {
    let mut took: Vec<_> = outcomes.iter().map(|outcome| outcome.took).collect();
    took.sort_unstable();
    let index = (share * took.len() as f64) as usize;
    took.get(index.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Sends a request and reads the answer. The connection is kept if the answer does not end it.
fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    address: &str,
    ask: &Ask,
) -> Result<u16> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
            BufReader::new(stream)
        }
    };
    stream.get_mut().write_all(ask.text_of("keep-alive").as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).with_context(|| format!("no status: {line:?}"))?.parse()?;
    let (mut length, mut stays) = (0, true);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "connection" => stays = value.trim() != "close",
            _ => {}
        }
    }
    // The answer to HEAD tells a length and has no body.
    if ask.method != "HEAD" {
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
    }
    *connection = stays.then_some(stream);
    Ok(status)
}
