//! A worker among others: what a group of workers shares, and how they speak to each other.
//!
//! ```text
//!  config topic ──► config_record ──► config_state ──► config_store    what is to be done; one leader writes
//!  status topic ──► status_record ──► status_cache ──► status_store    how it stands; each writes of what it runs
//!  session_key ───► signature ──────► worker_client                    requests from worker to worker
//! ```
//!
//! Topics, records and requests are those of Kafka Connect 4.1: its workers and ours can be of one group.

mod config_record;
mod config_state;
mod config_store;
mod session_key;
mod signature;
mod status_cache;
mod status_queue;
mod status_record;
mod status_store;
mod worker_client;
