//! Scenarios over the node and its rivals: what judges shares no code with what is judged.
//!
//! ```text
//! commands     what `millrace demo|bench|testbed|load` take and print
//!   ├ demo       the tour: a flood for throughput, then a trickle for latency
//!   ├ run        the rounds of a scenario, interleaved among its arms; bottleneck: what held them back
//!   │   ├ ground      what the arms meet: a backlog, several, or a load
//!   │   ├ drain       a backlog drained by one arm; backlog writes it
//!   │   ├ follow      a load followed by one arm; live takes the latencies, fault_steps lets things go wrong
//!   │   │             stages: where they go; append_times: the broker's part of that
//!   │   ├ ladder      the rate that comes next in the search for the highest
//!   │   ├ alone       the node between a replay server and an acknowledging broker, both own_processes of the rig
//!   │   └ both use
//!   │       ├ exhaust     null reader: change stream, exhaust (raw_stream), nothing else
//!   │       ├ arm         the node as a process, seen from outside
//!   │       ├ null_writer null writer: prebuilt Produce requests (produce), nothing else
//!   │       ├ rival       what it is compared with, debezium too; straight_line and null_path are its own_process
//!   │       ├ open_streams asks mongod whether somebody's stream is open
//!   │       ├ consumer    reads a topic with another client than the node's
//!   │       ├ check       topic against ledger, by decode, decode_copy, decode_debezium, strict_json and relaxed_json;
//!   │       │             content: in full or by digest
//!   │       └ kafka_admin, usage, procfs
//!   ├ oracle     the MongoDB connector and the node on the same changes, record for record
//!   └ scenario   the files of bench/scenarios
//! proxy, tamper   drops, doubles, swaps and alters records: the checker is held against it
//! ```
//!
//! It starts the node by its command line and reads its log and exit code. It imports neither `core` nor `io` nor
//! `node`.

pub mod alone;
pub mod append_times;
pub mod arm;
pub mod backlog;
pub mod bottleneck;
pub mod check;
pub mod commands;
pub mod consumer;
pub mod content;
pub mod counters;
pub mod debezium;
pub mod decode;
pub mod decode_copy;
pub mod decode_debezium;
pub mod demo;
pub mod drain;
pub mod exhaust;
pub mod fault_steps;
pub mod follow;
pub mod kafka_admin;
pub mod ladder;
pub mod live;
pub mod node_reader;
pub mod null_path;
pub mod null_writer;
pub mod open_streams;
pub mod oracle;
pub mod own_process;
pub mod procfs;
pub mod progress;
pub mod proxy;
pub mod relaxed_json;
pub mod rival;
pub mod run;
pub mod scenario;
pub mod stages;
pub mod straight_line;
pub mod strict_json;
pub mod system_calls;
pub mod tamper;
pub mod topics;
pub mod usage;

mod ground;
mod present;
mod produce;
mod raw_stream;
mod record_batch;
mod wire;
