//! Seeded open-loop load, and the ledger of what it wrote.
//!
//! ```text
//! seed ─► workload   which operation on which key, in which order          (no clock, no server)
//!           ├─► document   the bytes that an operation writes
//!           ├─► writer     sends them, as fast as possible or at their intended times
//!           └─► ledger     derives the same operations again and judges what came out at the other end
//! ```
//!
//! Nothing is stored on the way from the writer to the ledger: both derive from the seed, so a ledger can be had in
//! another process, on another machine, or years later from a run record.
//!
//! It does not read the topic. Whoever does (see `bench`) tells the ledger what was observed.

pub mod document;
pub mod ledger;
pub mod schedule;
pub mod workload;
pub mod writer;

mod bson_writer;
mod text;
mod value;
