//! Touches the world: sockets, clock and timers. Moves bytes and knows no protocol.
//!
//! ```text
//!                      ┌── epoll ── tokio, readiness: a read or write is tried, and waits where it must
//!  socket ──┬── tcp ────┤
//!           │           └── uring ── tokio-uring, completion: the kernel has the buffers until it is done
//!           └── tls, where it is asked for
//! ```
//!
//! The seam is made for completion: an operation takes its buffers with it and hands them back when it ends, so the
//! kernel may hold them meanwhile. A readiness driver loses nothing by that.
//!
//! * [`driver`] which of the two drives a thread's sockets, the probe, and the runtime of that thread
//! * [`socket`] connect, read into an owned buffer, write owned segments
//! * [`tls`] whom to trust and who we are; encryption between the caller's buffers and the connection
//! * [`clock`] the only place where time is read
//!
//! It knows neither MongoDB nor Kafka, keeps no buffer of its own and retries nothing.

pub mod clock;
pub mod driver;
pub mod socket;
pub mod tls;

mod epoll;
mod segments;
mod tcp;
mod uring;
