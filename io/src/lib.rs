//! Touches the world: sockets, clock and timers. Moves bytes and knows no protocol.
//!
//! The seam is made for completion: an operation takes its buffers with it and hands them back when it ends, so the
//! kernel may hold them meanwhile. A readiness driver loses nothing by that. The driver of today is epoll under
//! tokio's current-thread runtime.
//!
//! * [`socket`] connect, read into an owned buffer, write owned segments
//! * [`clock`] the only place where time is read
//!
//! It knows neither MongoDB nor Kafka, keeps no buffer of its own and retries nothing.

pub mod clock;
pub mod socket;
