//! What a topic of one partition holds after its connector went from worker to worker: runs of rising tokens, each
//! begun right behind the position that was stored then.
//!
//! ```text
//! token    1 2 3 4 5 6 7 │ 5 6 7 8 9 │ 10 11        7 → 5 is explained: 4 was the newest stored position
//! stored         4 at ───┘           └── 9          9 → 10 needs no explanation: nothing comes again
//! ```
//!
//! Nobody has to say when which worker took over: records and positions carry the time at which they were sent (ms
//! since 1970). Two workers that run the same connector at once betray themselves: their runs do not begin behind a
//! position. Tokens rise in the order of the stream, and their hexadecimal texts compare as they do.

use anyhow::{Context, Result, ensure};
use millrace_bench::consumer::Topic;
use tokio::sync::mpsc;

use crate::harness::offsets::token_of;

/// A token, and when it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) token: String,
    pub(crate) at_ms: i64,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replays {
    /// How often records came again from a stored position on.
    pub(crate) runs: usize,
    /// How many records came again.
    pub(crate) records: u64,
}

/// Fails unless every run that repeats records begins right behind the newest position stored until then.
pub(crate) fn judge(records: &[Sent], stored: &[Sent]) -> Result<Replays> {
    let mut replays = Replays { runs: 0, records: 0 };
    let (mut newest, mut last) = ("", "");
    for (index, Sent { token, at_ms }) in records.iter().enumerate() {
        let token = token.as_str();
        if token <= last {
            replays.runs += 1;
            let position = stored.iter().rev().find(|position| position.at_ms <= *at_ms);
            let position = position
                .with_context(|| format!("{token} came again, and no position was stored"))?;
            let position = position.token.as_str();
            ensure!(position < token, "{token} came again after {last}, and {position} was stored");
            let before = &records[..index];
            let left_out = before
                .iter()
                .find(|record| position < record.token.as_str() && record.token.as_str() < token);
            ensure!(
                left_out.is_none(),
                "{token} came after {last}, but {position} was stored, and between them is {left_out:?}"
            );
        }
        replays.records += u64::from(token <= newest);
        (newest, last) = (newest.max(token), token);
    }
    Ok(replays)
}

/// The change events of a topic.
pub(crate) async fn events(topic: &Topic) -> Result<Vec<Sent>> {
    let texts = texts(topic).await?;
    let events = texts.into_iter().map(|(_, value, at_ms)| {
        let token =
            value.strip_prefix(r#"{"_id": {"_data": ""#).and_then(|rest| rest.split('"').next());
        let token = token.with_context(|| format!("not an event: {value}"))?.to_owned();
        Ok(Sent { token, at_ms })
    });
    events.collect()
}

/// The positions of a connector in the offset topic.
pub(crate) async fn positions(topic: &Topic, connector: &str) -> Result<Vec<Sent>> {
    let ours = |key: &str| key.starts_with(&format!("[\"{connector}\","));
    let texts = texts(topic).await?;
    let positions = texts.into_iter().filter(|(key, ..)| ours(key));
    positions.map(|(_, value, at_ms)| Ok(Sent { token: token_of(&value)?, at_ms })).collect()
}

/// Key, value and time of each record, in the order of the partitions and offsets.
async fn texts(topic: &Topic) -> Result<Vec<(String, String, i64)>> {
    let (sink, mut fetched) = mpsc::channel(4);
    let (read, batches) = tokio::join!(topic.read_all(sink), async {
        let mut batches = Vec::new();
        while let Some(batch) = fetched.recv().await {
            batches.push(batch);
        }
        batches
    });
    read?;
    let mut texts = Vec::new();
    for batch in batches {
        for record in batch.records {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default());
            let (key, value) = (text(record.record.key)?, text(record.record.value)?);
            let at_ms = record.record.timestamp.timestamp_millis();
            texts.push(((batch.partition, record.offset), (key, value, at_ms)));
        }
    }
    texts.sort_by_key(|(place, _)| *place);
    Ok(texts.into_iter().map(|(_, text)| text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(tokens: &[(&str, i64)]) -> Vec<Sent> {
        tokens
            .iter()
            .map(|(token, at_ms)| Sent { token: (*token).to_owned(), at_ms: *at_ms })
            .collect()
    }

    const RECORDS: [(&str, i64); 9] = [
        ("1", 1),
        ("2", 2),
        ("4", 3),
        ("5", 4),
        ("4", 10),
        ("5", 11),
        ("6", 12),
        ("7", 13),
        ("8", 20),
    ];

    #[test]
    fn what_is_behind_the_stored_position_may_come_again() {
        let replays = judge(&sent(&RECORDS), &sent(&[("2", 3), ("7", 14)])).unwrap();
        assert_eq!(replays, Replays { runs: 1, records: 2 });
        // A position may lie between two events of the topic: it is that of another collection's.
        assert!(judge(&sent(&RECORDS), &sent(&[("3", 3), ("7", 14)])).is_ok());
    }

    #[test]
    fn what_was_stored_may_not_come_again() {
        for stored in [&[("4", 3)][..], &[("2", 3), ("4", 5)], &[]] {
            assert!(judge(&sent(&RECORDS), &sent(stored)).is_err(), "{stored:?}");
        }
        // Only what was stored before it came again counts.
        assert!(judge(&sent(&RECORDS), &sent(&[("2", 3), ("4", 11)])).is_ok());
    }

    #[test]
    fn a_run_begins_with_the_first_event_behind_the_position() {
        let error = judge(&sent(&RECORDS), &sent(&[("1", 3)])).unwrap_err().to_string();
        assert!(error.contains("between them is"), "{error}");
    }

    #[test]
    fn two_workers_at_once_are_seen() {
        let both = [("1", 1), ("2", 2), ("3", 3), ("2", 4), ("4", 5), ("3", 6), ("5", 7)];
        assert!(judge(&sent(&both), &sent(&[("1", 1)])).is_err());
    }
}
