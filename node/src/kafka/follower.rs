//! Reads a topic from its beginning, and goes on reading: every partition, from whoever leads it.
//!
//! ```text
//!  partitions that nobody is asked about ──► grouped by leader ──► one request to each leader at a time
//!            ▲                                                          │ answered when something is there,
//!            └──────────────── records handed out ◄─────────────────────┘ or after half a second
//! ```
//!
//! Records of a partition are handed out in order; those of transactions that were aborted are not. Where the log does
//! not reach back to what is asked for, or not yet to it, because the topic was made anew, records were deleted or a
//! leader has lost some, reading begins again at its first record. A partition that cannot be read, or that nobody
//! leads, holds up none of the others: its error comes after what the others had.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use millrace_core::kafka::api::Api;
use millrace_core::kafka::api::fetch::{self, Aborted, Fetched, Isolation};
use millrace_core::kafka::api::list_offsets::{self, EARLIEST, LATEST};
use millrace_core::kafka::committed::read_committed;
use millrace_core::kafka::wire::{Reader, WireError};
use millrace_core::kafka::{ErrorCode, batch_reader::Record};
use millrace_core::link::Address;

use super::client::{ANSWER_TIMEOUT, Client, Patience, Question, To};
use super::connection::{Cluster, Connection};
use super::error::KafkaError;

/// Bytes of one answer; the broker sends a larger batch all the same.
const FETCH_BYTES_MAX: i32 = 4 << 20;

/// One record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRecord<'a> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// By partition, the offset that is read next.
pub(super) type Places = BTreeMap<i32, i64>;

/// Where each partition ends at the moment, transactions that are open included.
pub(super) async fn ends(
    client: &mut Client,
    topic: &str,
    partitions: &[i32],
) -> Result<Places, KafkaError> {
    let mut ends = Places::new();
    for partition in partitions {
        ends.insert(*partition, list_offset(client, topic, *partition, LATEST).await?);
    }
    Ok(ends)
}

async fn list_offset(
    client: &mut Client,
    topic: &str,
    partition: i32,
    timestamp_ms: i64,
) -> Result<i64, KafkaError> {
    let about = &format!("partition {partition} of topic {topic}");
    let question = Question { api: Api::ListOffsets, to: To::Leader { topic, partition }, about };
    let write =
        |out: &mut Vec<u8>| list_offsets::write_request(out, topic, partition, timestamp_ms);
    client.ask(question, write, list_offsets::read_answer).await
}

/// Whether everything before `ends` was read.
pub(super) fn has_reached(places: &Places, ends: &Places) -> bool {
    ends.iter().all(|(partition, end)| places.get(partition).is_some_and(|place| end <= place))
}

/// How many offsets before `ends` are behind `places`. It can only grow so far, whatever is appended meanwhile.
fn progress(places: &Places, ends: &Places) -> i64 {
    let of =
        |(partition, end): (&i32, &i64)| places.get(partition).map_or(0, |place| *place.min(end));
    ends.iter().map(of).fold(0, i64::saturating_add)
}

/// Hands every record of `topic` that was there when this was called to `on_record`.
///
/// # Errors
/// What does not pass, or lasts.
pub(crate) async fn read_whole(
    client: Client,
    topic: &str,
    partitions: &[i32],
    on_record: impl FnMut(LogRecord<'_>),
) -> Result<(), KafkaError> {
    let mut follower = Follower::new(client, topic, partitions, on_record);
    let ends = ends(&mut follower.client, topic, partitions).await?;
    // Since the first error after which nothing was read; waiting without an error has no limit here.
    let mut patience = None;
    let mut best = 0;
    while !has_reached(&follower.places, &ends) {
        let stepped = follower.step().await;
        let now = progress(&follower.places, &ends);
        if best < now {
            (best, patience) = (now, None);
        }
        if let Err(error) = stepped {
            patience.get_or_insert_with(Patience::new).pause(error).await?;
        }
    }
    Ok(())
}

/// See the module.
pub(super) struct Follower<F> {
    client: Client,
    cluster: Arc<Cluster>,
    topic: Arc<str>,
    on_record: F,
    places: Places,
    /// Partitions that nobody is asked about.
    idle: BTreeSet<i32>,
    flights: FuturesUnordered<Pin<Box<dyn Future<Output = Landing> + Send>>>,
    /// Leaders that were asked and have not answered.
    asked: BTreeSet<Address>,
    /// What compressed records are read back into.
    room: Vec<u8>,
}

/// What came of one request.
struct Landing {
    leader: Address,
    partitions: Vec<i32>,
    answer: Result<(Connection, Vec<Page>), KafkaError>,
}

/// What a leader sent of one partition.
struct Page {
    partition: i32,
    error: ErrorCode,
    aborted: Vec<Aborted>,
    records: Vec<u8>,
}

impl<F: FnMut(LogRecord<'_>)> Follower<F> {
    /// Begins at 0, where a log begins if nothing of it was deleted.
    pub(super) fn new(client: Client, topic: &str, partitions: &[i32], on_record: F) -> Self {
        Self {
            cluster: Arc::new(client.cluster().clone()),
            client,
            topic: topic.into(),
            on_record,
            places: partitions.iter().map(|partition| (*partition, 0)).collect(),
            idle: partitions.iter().copied().collect(),
            flights: FuturesUnordered::new(),
            asked: BTreeSet::new(),
            room: Vec::new(),
        }
    }

    /// How far it is.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// Asks who is to be asked, waits for one answer and hands out what is in it.
    ///
    /// # Errors
    /// What is in the way, the first of it; calling again goes on from the same places.
    pub(super) async fn step(&mut self) -> Result<(), KafkaError> {
        let orphan = self.ask_leaders().await?;
        let Some(landing) = self.flights.next().await else {
            return Err(self.leaderless(orphan.unwrap_or_default()));
        };
        self.asked.remove(&landing.leader);
        self.idle.extend(landing.partitions);
        let (connection, pages) = match landing.answer {
            Ok(answer) => answer,
            Err(error) => return Err(self.failed(error)),
        };
        self.client.keep(connection);
        let mut first = Ok(());
        for page in pages {
            let taken = self.take(&page).await;
            first = first.and(taken);
        }
        first?;
        orphan.map_or(Ok(()), |partition| Err(self.leaderless(partition)))
    }

    /// Asks each leader for which there is something to ask, and that has answered before. Names a partition that
    /// nobody leads.
    async fn ask_leaders(&mut self) -> Result<Option<i32>, KafkaError> {
        if self.idle.is_empty() {
            return Ok(None);
        }
        let leaders = self.client.leaders(&self.topic).await?;
        let mut wanted: BTreeMap<Address, Vec<(i32, i64)>> = BTreeMap::new();
        for partition in &self.idle {
            if let (Some(Some(leader)), Some(place)) =
                (leaders.get(partition), self.places.get(partition))
                && !self.asked.contains(leader)
            {
                wanted.entry(leader.clone()).or_default().push((*partition, *place));
            }
        }
        let is_orphan = |partition: &i32| leaders.get(partition).is_none_or(Option::is_none);
        let orphan = self.idle.iter().copied().find(is_orphan);
        if orphan.is_some() {
            self.client.forget();
        }
        for (leader, places) in wanted {
            for (partition, _) in &places {
                self.idle.remove(partition);
            }
            self.asked.insert(leader.clone());
            let connection = self.client.take(&leader);
            let (cluster, topic) = (Arc::clone(&self.cluster), Arc::clone(&self.topic));
            self.flights.push(Box::pin(fly(cluster, connection, leader, topic, places)));
        }
        Ok(orphan)
    }

    async fn take(&mut self, page: &Page) -> Result<(), KafkaError> {
        let partition = page.partition;
        let Some(place) = self.places.get_mut(&partition) else { return Ok(()) };
        match page.error {
            ErrorCode::NONE => {
                let fetched = Fetched {
                    partition,
                    error: page.error,
                    aborted: page.aborted.clone(),
                    records: &page.records,
                };
                let on_record = &mut self.on_record;
                let take = |Record { offset, timestamp_ms, key, value, .. }: Record<'_>| {
                    on_record(LogRecord { partition, offset, timestamp_ms, key, value });
                };
                read_committed(&fetched, place, &mut self.room, take).map_err(|error| {
                    KafkaError::Unreadable { topic: self.topic.to_string(), partition, error }
                })
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let first = list_offset(&mut self.client, &self.topic, partition, EARLIEST).await?;
                if *place != 0 {
                    tracing::warn!(
                        "partition {partition} of topic {} does not reach to offset {place}: reading it again \
                         from {first} on",
                        self.topic
                    );
                }
                *place = first;
                Ok(())
            }
            error => {
                let refused = self.refused(partition, error);
                Err(self.failed(refused))
            }
        }
    }

    fn refused(&self, partition: i32, error: ErrorCode) -> KafkaError {
        let topic = &self.topic;
        let about = &format!("partition {partition} of topic {topic}");
        Question { api: Api::Fetch, to: To::Leader { topic, partition }, about }
            .refused(error.into())
    }

    /// Nobody could be asked about `partition`.
    fn leaderless(&mut self, partition: i32) -> KafkaError {
        let error = self.refused(partition, ErrorCode::LEADER_NOT_AVAILABLE);
        self.failed(error)
    }

    fn failed(&mut self, error: KafkaError) -> KafkaError {
        self.client.forget();
        error
    }
}

/// One request to one leader.
async fn fly(
    cluster: Arc<Cluster>,
    connection: Option<Connection>,
    leader: Address,
    topic: Arc<str>,
    places: Vec<(i32, i64)>,
) -> Landing {
    let answer = async {
        let mut connection = match connection {
            Some(connection) => connection,
            None => Connection::open(&cluster, &leader).await?,
        };
        let write = |out: &mut Vec<u8>| {
            fetch::write_request(out, &topic, &places, Isolation::Committed, FETCH_BYTES_MAX);
        };
        let pages = connection.request(Api::Fetch, write, read_pages, ANSWER_TIMEOUT).await?;
        Ok((connection, pages))
    };
    let answer = answer.await;
    Landing {
        leader,
        partitions: places.into_iter().map(|(partition, _)| partition).collect(),
        answer,
    }
}

fn read_pages(reader: &mut Reader<'_>) -> Result<Vec<Page>, WireError> {
    let mut pages = Vec::new();
    let error = fetch::read_answer(reader, |Fetched { partition, error, aborted, records }| {
        pages.push(Page { partition, error, aborted, records: records.to_vec() });
    })?;
    if !error.is_none() {
        for page in &mut pages {
            page.error = error;
        }
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millrace_io::clock;

    use super::*;
    use crate::kafka::append::append;
    use crate::kafka::scripted_broker::ScriptedBroker;

    const TOPIC: &str = "connect-offsets";
    const PARTITIONS: [i32; 3] = [0, 1, 2];

    /// A broker with a record in each of three partitions.
    async fn broker() -> ScriptedBroker {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        broker.state().exists = true;
        let pairs = (0..50).map(|key: i32| (key.to_string().into_bytes(), None)).collect();
        append(&mut Client::new(broker.cluster()), TOPIC, &PARTITIONS, pairs).await.unwrap();
        assert!(broker.state().logs.iter().all(|log| 0 < log.end));
        broker
    }

    #[tokio::test]
    async fn partition_that_cannot_be_read_holds_up_no_other() {
        let broker = broker().await;
        broker.state().logs[0].refusal = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let client = Client::new(broker.cluster());
        let mut follower = Follower::new(client, TOPIC, &PARTITIONS, |_| {});
        let error = follower.step().await.unwrap_err().to_string();
        assert!(error.contains("partition 0") && error.contains("NOT_LEADER"), "{error}");
        let ends = broker.state().logs.iter().map(|log| log.end).collect::<Vec<_>>();
        assert_eq!(follower.places(), &Places::from([(0, 0), (1, ends[1]), (2, ends[2])]));
        broker.state().logs[0].refusal = None;
        follower.step().await.unwrap();
        assert_eq!(follower.places()[&0], ends[0]);
    }

    #[tokio::test]
    async fn partition_that_nobody_leads_is_an_error_while_others_are_read() {
        let broker = broker().await;
        broker.state().logs[1].is_leaderless = true;
        let client = Client::new(broker.cluster());
        let mut follower = Follower::new(client, TOPIC, &PARTITIONS, |_| {});
        for _ in 0..2 {
            let error = follower.step().await.unwrap_err().to_string();
            assert!(error.contains("partition 1") && error.contains("LEADER_NOT"), "{error}");
        }
        let ends = broker.state().logs.iter().map(|log| log.end).collect::<Vec<_>>();
        assert_eq!(follower.places(), &Places::from([(0, ends[0]), (1, 0), (2, ends[2])]));
    }

    #[tokio::test]
    async fn whole_topic_is_read_once_what_was_in_the_way_has_passed() {
        let broker = broker().await;
        broker.state().logs[2].refusal = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let mut read = 0;
        let passes = async {
            clock::wait(Duration::from_millis(300)).await;
            broker.state().logs[2].refusal = None;
        };
        let client = Client::new(broker.cluster());
        let (whole, ()) =
            tokio::join!(read_whole(client, TOPIC, &PARTITIONS, |_| read += 1), passes);
        whole.unwrap();
        assert_eq!(read, 50);
    }

    #[test]
    fn progress_ends_where_the_topic_ended() {
        let ends = Places::from([(0, 10), (1, 5)]);
        assert_eq!(progress(&Places::from([(0, 3), (1, 0)]), &ends), 3);
        assert_eq!(progress(&Places::from([(0, 3), (1, 5)]), &ends), 8);
        assert_eq!(progress(&Places::from([(0, 3), (1, 500)]), &ends), 8);
    }
}
