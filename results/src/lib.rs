//! Run records: what was measured, where, with what, and whether it counts.
//!
//! ```text
//! rounds of each arm ─► record   medians, ratios to the null reader, faults: valid or not
//!                         ├─► store   one JSON line in results/records/<scenario>.jsonl, never rewritten
//!                         └─► table   for a terminal
//! records ─► stats ─┬─► compare, noise   is a difference one?
//!                   ├─► gate             may a release go out?
//!                   └─► plan             what will a load need?
//! records ─► report                      one HTML file
//! records ─► export, readme_table        for other tools, for the README
//! ```
//!
//! A record is complete: it names seed, commit, command and machine, and carries the raw counters and histograms, so
//! that a later reader can do other sums. A run that lost, duplicated, reordered or corrupted events reports no
//! throughput.
//!
//! Nothing is measured here; `bench` does that and fills in the rounds.

pub mod baselines;
pub mod compare;
pub mod export;
pub mod gate;
pub mod histogram;
pub mod likeness;
pub mod machine;
pub mod metric;
pub mod noise;
pub mod plan;
pub mod readme_table;
pub mod record;
pub mod report;
pub mod selection;
pub mod stats;
pub mod store;
pub mod table;
pub mod utc;

#[cfg(test)]
mod synthetic;
