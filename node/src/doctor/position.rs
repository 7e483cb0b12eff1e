//! Would the connector go on where it was? The stored position is read as a task reads it, and the stream is opened
//! there, with the connector's own pipeline and login, and left again.
//!
//! ```text
//! offsets file or topic ─► position ─► $changeStream startAfter ─► opens: it would resume
//!                                                              └─► lost: the gap, and the policy for it
//! ```

use millrace_core::mongo::session::{ResumePosition, SessionConfig, SessionError};
use mongodb::bson::DateTime;
use tokio::sync::OnceCell;

use super::finding::Finding;
use super::oplog::Oplog;
use crate::config::{LostPosition, SourceConfig, Startup, WorkerConfig};
use crate::offsets::{GoOn, OffsetStore, StoredOffsets};
use crate::task::{encryption, first_position, only_open};

const POSITION: &str = "position";
const STREAM: &str = "change stream";
/// Of the oplog's window, a position that lies further back than this part will be lost soon.
const WINDOW_USED_PERCENT_MAX: u32 = 75;

/// What a worker has stored, read once for all its connectors.
pub(super) struct Offsets<'a> {
    worker: &'a WorkerConfig,
    stored: OnceCell<Result<StoredOffsets, String>>,
}

impl<'a> Offsets<'a> {
    pub(super) fn of(worker: &'a WorkerConfig) -> Self {
        Self { worker, stored: OnceCell::new() }
    }

    /// All of it, or why it cannot be read.
    pub(super) async fn read(&self) -> Result<&StoredOffsets, &str> {
        let read = async {
            let store = OffsetStore::open(self.worker).map_err(|error| format!("{error:#}"))?;
            store.read().await.map_err(|error| format!("{error:#}"))
        };
        self.stored.get_or_init(|| read).await.as_ref().map_err(String::as_str)
    }
}

/// Opens the stream where the connector would.
pub(super) async fn check(
    source: &SourceConfig,
    config: SessionConfig,
    offsets: &Offsets<'_>,
    oplog: Option<Oplog>,
) -> Vec<Finding> {
    let stored = match offsets.read().await {
        Ok(stored) => stored.position(&source.name, &source.partition),
        Err(_) => {
            let unread = Finding::not_checked(POSITION, "the worker's offsets cannot be read");
            return vec![unread, open_first(source, config).await];
        }
    };
    let token = match stored {
        Ok(GoOn::After { token }) => token,
        Ok(GoOn::Begin) => {
            let begins = Finding::ok(POSITION, format!("none is stored: {}", beginning(source)));
            return vec![begins, open_first(source, config).await];
        }
        Ok(GoOn::Copy { .. }) => {
            let copies = Finding::ok(POSITION, "inside a copy of existing data, which goes on");
            return vec![copies, open_first(source, config).await];
        }
        Err(error) => {
            return vec![Finding::of_error(POSITION, &error), open_first(source, config).await];
        }
    };
    let position = ResumePosition::After(token);
    let time = position.cluster_time().map(|(seconds, _)| seconds);
    match only_open::open_at(config.clone(), position, encryption(source)).await {
        Ok(()) => vec![judge_margin(time, oplog), opens()],
        Err(error) if error.is_position_lost() => {
            vec![judge_loss(&error, &source.lost_position), open_first(source, config).await]
        }
        Err(error) => vec![
            Finding::not_checked(POSITION, "the change stream does not open"),
            Finding::of_error(STREAM, &error),
        ],
    }
}

fn opens() -> Finding {
    Finding::ok(STREAM, "opens with the connector's pipeline and options")
}

async fn open_first(source: &SourceConfig, config: SessionConfig) -> Finding {
    let opened = only_open::open_at(config, first_position(source), encryption(source)).await;
    opened.map_or_else(|error| Finding::of_error(STREAM, &error), |()| opens())
}

fn beginning(source: &SourceConfig) -> &'static str {
    match source.startup {
        Startup::Latest => "begins with the first change after the start",
        Startup::Timestamp(_) => "begins at the time that startup.mode.timestamp names",
        Startup::CopyExisting(_) => "begins with a copy of what is there",
    }
}

/// Of a position that can be gone on from: how long that stays so.
fn judge_margin(time: Option<u32>, oplog: Option<Oplog>) -> Finding {
    let Some(time) = time else { return Finding::ok(POSITION, "would resume") };
    let seen = format!("of {}, would resume", date(time));
    let Some(oplog) = oplog else { return Finding::ok(POSITION, seen) };
    let window = oplog.newest.saturating_sub(oplog.oldest);
    let behind = oplog.newest.saturating_sub(time);
    let used = u64::from(behind) * 100 / u64::from(window.max(1));
    if oplog.is_full() && u64::from(WINDOW_USED_PERCENT_MAX) < used {
        Finding::warning(
            POSITION,
            format!("{seen}, and lies {used} % of the oplog's window back: it will be lost soon"),
            "start the connector now, or keep more: db.adminCommand({ replSetResizeOplog: 1, minRetentionHours: 24 })",
        )
    } else {
        Finding::ok(POSITION, format!("{seen}; {:.1} hours behind", f64::from(behind) / 3_600.0))
    }
}

fn judge_loss(error: &SessionError, policy: &LostPosition) -> Finding {
    let goes_on = match policy {
        LostPosition::Fail => return Finding::of_error(POSITION, error),
        LostPosition::Oldest => "with the oldest change that the oplog still has",
        LostPosition::Now => "with the first change from then on",
        LostPosition::Copy(_) => "with a copy of what is there",
    };
    let seen = error.lost_position().map_or_else(|| error.to_string(), |(_, loss)| loss);
    Finding::warning(
        POSITION,
        seen,
        format!("resume.policy.lost.position lets it go on {goes_on}; what lies between is lost"),
    )
}

/// A cluster time as people read it.
fn date(seconds: u32) -> String {
    let time = DateTime::from_millis(i64::from(seconds) * 1_000);
    time.try_to_rfc3339_string().unwrap_or_else(|_| format!("{seconds} s"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome;
    use super::*;

    #[test]
    fn position_at_the_far_end_of_a_full_oplog_is_a_warning() {
        let oplog = |filled| Some(Oplog { oldest: 1_000, newest: 2_000, filled_percent: filled });
        for (time, oplog, is_ok) in [
            (Some(1_500), oplog(Some(100.0)), true),
            (Some(1_100), oplog(Some(100.0)), false),
            (Some(1_100), oplog(Some(5.0)), true),
            (Some(9_000), oplog(Some(100.0)), true),
            (Some(1_100), None, true),
            (None, oplog(Some(100.0)), true),
            (Some(1), Some(Oplog::default()), true),
        ] {
            let finding = judge_margin(time, oplog);
            assert_eq!(matches!(finding.outcome, Outcome::Ok { .. }), is_ok, "{finding:?}");
        }
    }

    #[test]
    fn times_are_those_of_people() {
        assert_eq!(date(1_700_000_000), "2023-11-14T22:13:20Z");
    }
}
