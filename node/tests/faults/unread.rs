//! Bytes that one process has sent and another has not read: requests in flight, as the kernel counts them.
//!
//! ```text
//! /proc/<pid>/fd/*      socket:[inode]
//! /proc/net/tcp, tcp6   sl local_address rem_address st tx_queue:rx_queue … … uid timeout inode
//!                          hex:port      hex:port       hex:hex
//! ```
//!
//! A loopback connection stands there twice, once from each end; `rx_queue` of the server's end is what it has not
//! read.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result};

#[derive(Clone)]
struct Socket {
    local_port: u16,
    remote_port: u16,
    unread: u64,
    inode: u64,
}

/// Bytes sent by the process `client` to the port `server` of this machine that nobody has read.
pub(crate) fn unread_bytes(client: u32, server: u16) -> Result<u64> {
    let inodes = inodes_of(client)?;
    let sockets = [sockets("/proc/net/tcp")?, sockets("/proc/net/tcp6")?].concat();
    let ours: HashSet<u16> = sockets
        .iter()
        .filter(|socket| inodes.contains(&socket.inode) && socket.remote_port == server)
        .map(|socket| socket.local_port)
        .collect();
    let theirs = sockets
        .iter()
        .filter(|socket| socket.local_port == server && ours.contains(&socket.remote_port));
    Ok(theirs.map(|socket| socket.unread).sum())
}

/// The port of an address `host:port`.
pub(crate) fn port_of(address: &str) -> Result<u16> {
    let (_, port) = address.rsplit_once(':').with_context(|| address.to_owned())?;
    Ok(port.parse()?)
}

fn inodes_of(pid: u32) -> Result<HashSet<u64>> {
    let folder = format!("/proc/{pid}/fd");
    let links = fs::read_dir(&folder).with_context(|| folder.clone())?;
    let inode = |link: fs::DirEntry| {
        let target = fs::read_link(link.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    Ok(links.filter_map(|link| inode(link.ok()?)).collect())
}

fn sockets(path: &str) -> Result<Vec<Socket>> {
    let table = fs::read_to_string(path).with_context(|| path.to_owned())?;
    table.lines().skip(1).map(|line| socket(line).with_context(|| line.to_owned())).collect()
}

fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let port = |at: usize| u16::from_str_radix(fields.get(at)?.rsplit_once(':')?.1, 16).ok();
    let (_, unread) = fields.get(4)?.split_once(':')?;
    Some(Socket {
        local_port: port(1)?,
        remote_port: port(2)?,
        unread: u64::from_str_radix(unread, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_was_sent_is_unread_until_it_is_read() -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let mut client = TcpStream::connect(("127.0.0.1", port))?;
        let (mut server, _) = listener.accept()?;
        let unread = || unread_bytes(std::process::id(), port);
        assert_eq!(unread()?, 0);
        client.write_all(&[7; 1_000])?;
        assert_eq!(unread()?, 1_000);
        server.read_exact(&mut [0; 400])?;
        assert_eq!(unread()?, 600);
        assert_eq!(unread_bytes(1, port)?, 0, "another process");
        Ok(())
    }
}
