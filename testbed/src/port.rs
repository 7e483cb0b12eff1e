//! Free loopback ports that stay ours while their server is down.
//!
//! A server that is killed and started again must get its port back. Two things could take it:
//!
//! * an outgoing connection, to which the kernel gives a port of the ephemeral range. A client that
//!   keeps dialling a dead port of that range even connects to itself one day. So ports are taken
//!   from below that range;
//! * another testbed on this machine. So each port is leased: the lease is an abstract Unix socket
//!   named after the port, which the kernel frees with its owner, and which lives in the same
//!   network namespace as the port itself.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use anyhow::{Result, bail};

/// How many ports below the ephemeral range are looked at.
const RANGE: u16 = 12_000;

/// A port of 127.0.0.1 that no other testbed takes while this lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lease: UnixListener,
}

impl Port {
    /// Leases a port that nobody listens on.
    pub(crate) fn lease() -> Result<Self> {
        let end = ephemeral_start();
        let start = end.saturating_sub(RANGE).max(1_024);
        let span = end - start;
        // Where to look first is drawn, so that parallel testbeds do not walk in step.
        let offset = RandomState::new().hash_one(std::process::id()) % u64::from(span);
        let offset = u16::try_from(offset).unwrap_or(0);
        for step in 0..span {
            let number = start + (offset + step) % span;
            if let Some(port) = Self::take(number) {
                return Ok(port);
            }
        }
        bail!("lease a loopback port: none of {start} to {end} is free; end what listens there")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:port`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    fn take(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("millrace-port-{number}")).ok()?;
        let lease = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _lease: lease })
    }
}

/// The first port that the kernel may give to an outgoing connection.
fn ephemeral_start() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let start = range.split_whitespace().next().and_then(|low| low.parse().ok());
    start.filter(|low| *low > 2_048).unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leased_port_is_not_leased_twice() {
        let port = Port::lease().unwrap();
        assert!(Port::take(port.number()).is_none());
        let number = port.number();
        drop(port);
        assert!(Port::take(number).is_some());
    }

    #[test]
    fn port_that_someone_listens_on_is_not_leased() {
        let number = Port::lease().unwrap().number();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        assert!(Port::take(number).is_none());
    }

    #[test]
    fn port_lies_below_the_ephemeral_range() {
        assert!(Port::lease().unwrap().number() < ephemeral_start());
    }
}
