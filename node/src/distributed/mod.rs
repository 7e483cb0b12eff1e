//! A worker among others: what a group of workers shares, what this one does of it, and how they speak to each other.
//!
//! ```text
//!  config topic ──► config_record ──► config_state ──► config_store    what is to be done; one leader writes
//!  status topic ──► status_record ──► status_cache ──► status_store    how it stands; each writes of what it runs
//!  session_key ───► signature ──────► worker_client                    requests from worker to worker
//!
//!  the group, the config topic, the clock ──► rounds ──► local         what runs here, started and stopped
//!  requests ──► herder ──────────────────────────┴─────► leading       what the leader alone does
//! ```
//!
//! Topics, records and requests are those of Kafka Connect 4.1: its workers and ours can be of one group. There is no
//! engine of our own behind it: Kafka's group coordinator and its compacted topics are the engine. [`command`] starts
//! it all.

mod command;
mod config_record;
mod config_state;
mod config_store;
mod herder;
mod leading;
mod local;
mod rounds;
mod session_key;
mod signature;
mod status_cache;
mod status_queue;
mod status_record;
mod status_store;
mod worker_client;

pub(crate) use command::run;
pub(crate) use herder::Distributed;
pub(crate) use leading::Signed;
pub(crate) use worker_client::{ForwardError, WorkerAnswer};
