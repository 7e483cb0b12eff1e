//! The group of workers: who is in it, who leads, and who runs what. Kafka Connect's own protocol, so that workers of
//! both kinds can be in one group.
//!
//! ```text
//!   [`member`] ◄──── answers of the coordinator, time, wishes of the worker
//!      │  │
//!      │  └────────► [`question`]s and events: assigned, lost; or why not: [`refusal`]
//!      ▼
//!   [`leader`] ────► [`assignor`] ──► levelling       who is to run what
//!      │
//!      └─ [`worker_state`], [`assignment`], [`protocol`]   the bytes that members exchange
//! ```
//!
//! [`work`] is what is given out. No I/O and no clock in here.

pub mod assignment;
pub mod assignor;
pub mod leader;
mod levelling;
pub mod member;
pub mod protocol;
pub mod question;
pub mod refusal;
pub mod work;
pub mod worker_state;
