//! `heartbeat.interval.ms` and `heartbeat.topic.name`.

use super::converter::ConverterKind;
use super::error::{Reason, Shown};
use super::property::Values;
use super::report::Report;
use super::source::Output;

/// Records for idle times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeats {
    pub(crate) topic: String,
    /// More than this lies between two.
    pub(crate) interval_ms: u64,
}

impl Heartbeats {
    /// Checks both properties.
    pub(super) fn new(values: &Values, key: Option<&Output>, report: &mut Report) -> Option<Self> {
        const INTERVAL: &str = "heartbeat.interval.ms";
        let interval_ms = values.integer(INTERVAL).and_then(|ms| u64::try_from(ms).ok())?;
        if interval_ms == 0 {
            return None;
        }
        if key.is_some_and(|key| key.converter == ConverterKind::ByteArray) {
            let reason = "the key of a heartbeat is a text, which ByteArrayConverter does not take; use \
                          key.converter=…StringConverter, or leave out the heartbeats";
            let reason = Reason::Conflict(reason.to_owned());
            report.refuse(INTERVAL, Shown::Text(interval_ms.to_string()), reason);
        }
        Some(Self { topic: values.text("heartbeat.topic.name").to_owned(), interval_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::super::source_check::tests::{error, source};
    use super::*;

    #[test]
    fn heartbeats_need_an_interval_and_a_key_of_text() {
        assert_eq!(beats("heartbeat.topic.name=h"), None);
        let topic = "__mongodb_heartbeats".to_owned();
        let want = Some(Heartbeats { topic, interval_ms: 10 });
        assert_eq!(beats("heartbeat.interval.ms=10"), want);
        let bytes = "key.converter=ByteArray\noutput.format.key=bson\nheartbeat.interval.ms=10";
        assert!(
            error(bytes).contains("configuration heartbeat.interval.ms: the key of a heartbeat")
        );
    }

    fn beats(lines: &str) -> Option<Heartbeats> {
        source(lines, true).unwrap().0.heartbeats
    }
}
