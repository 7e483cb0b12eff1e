//! Seeded open-loop load, and the ledger of what it wrote.
//!
//! ```text
//! seed ─► workload   which operation on which key, in which order          (no clock, no server)
//!           ├─► document   the bytes that an operation writes: a shape, or a template of the user's
//!           ├─► delta      what an update changes, and what the change stream says about it
//!           ├─► ledger     derives the same operations again and judges what came out at the other end
//!           └─► writer     sends them, as fast as possible or at their intended times
//!                 ├─ arrivals, schedule   the rate over time, and the moment of each operation
//!                 ├─ pacer                releases each at its moment
//!                 └─ lateness, ceiling    whether the load was the one that was asked for
//! ```
//!
//! Nothing is stored on the way from the writer to the ledger: both derive from the seed, so a ledger can be had in
//! another process, on another machine, or years later from a run record.
//!
//! It does not read the topic. Whoever does (see `bench`) tells the ledger what was observed.

pub mod arrivals;
pub mod ceiling;
pub mod delta;
pub mod digest;
pub mod document;
pub mod lateness;
pub mod ledger;
pub mod pacer;
pub mod schedule;
pub mod settings;
pub mod stop;
pub mod workload;
pub mod writer;

mod bson_writer;
mod priority;
mod random;
mod shape;
mod template;
mod text;
mod value;
