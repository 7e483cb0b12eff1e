//! The part of MongoDB's wire protocol that a change stream and the copy before it need, from bytes
//! to events that survive every fault.
//!
//! ```text
//!  session      which server, what to ask, where to resume
//!    ├ topology   which servers there are          ├ handshake   hello, then scram
//!    ├ quiet      is the server dead               ├ watch       the commands of a change stream
//!    ├ peer       the server at the other end      └ server_api  what every command says besides
//!    ├ fragments  events that the server has split   ├ lost_position   how large a gap would be
//!    └ reply      events out of a reply ── message   one OP_MSG ── bson   one document
//! ```
//!
//! [`copy`] reads what is there before the stream, [`oplog_look`] how far back a stream could begin, each over
//! connections of its own. Spoken are `hello`, SCRAM, X.509, `aggregate`, `find`, `getMore`, `killCursors` and
//! the lists of databases and collections, in OP_MSG. Not spoken are compression, server sessions, reads from
//! secondaries and every write. [`inquiry`] sends what others have written, for who looks a server over before anything
//! runs; other commands belong to the control plane, which uses the official driver.

pub mod bson;
mod bson_partial;
pub mod bson_write;
pub mod copy;
pub mod error_codes;
pub mod fragments;
mod handshake;
mod hello;
pub mod inquiry;
pub mod login;
pub mod lost_position;
pub mod message;
pub mod oplog_look;
mod peer;
mod quiet;
pub mod reply;
pub mod scram;
mod server_api;
pub mod session;
pub mod session_error;
mod topology;
pub mod watch;
