//! The null writer: writes records to one partition as fast as the broker takes them, and does nothing else.
//!
//! ```text
//! sample of real events ─► requests of 1 MB, built and sealed before the clock runs ─┐  again and again, in turn
//!                                                                                    ▼
//! writer   correlation id ─► socket  ═══ up to 5 requests without an answer ═══►  broker
//!                        └◄─ answer: base offset = records before it
//! ```
//!
//! It is the wall on the other side of every arm: nothing that writes such records through one connection can be faster
//! than a writer that only hands prebuilt bytes over. Record `i` is record `i` modulo
//! [`NullWriting::records_distinct`] of the sample; the topic ends with exactly as many as asked for.
//!
//! It must be shown that the broker was the limit and not the writer. The broker is *starved* while no whole request
//! lies with it unanswered and the writer is not waiting for it, that is, while the kernel would take more bytes and
//! the writer has yet to hand them over. It must have been supplied for at least [`BROKER_SUPPLIED_MIN`] of the time.
//!
//! The window is the broker's (`LogAppendTime` of the first batch to the last), as it is for the node. One thread, one
//! socket that does not block, so that waiting and working are told apart. No retries: a refused batch ends it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;

use crate::backlog::STALLED_MAX;
use crate::consumer::Topic;
use crate::exhaust;
use crate::procfs::{self, MachineTimes};
use crate::produce::{Answers, BATCH_BYTES_MAX, IN_FLIGHT_MAX, SealedRequest, Target};
use crate::topics;

/// Share of the time that the broker must have had a whole request, or have kept the writer waiting.
pub const BROKER_SUPPLIED_MIN: f64 = 0.95;

const ANSWER_BUFFER_BYTES: usize = 4_096;

/// Key and value of a record.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What to write.
#[derive(Clone, Debug)]
pub struct NullWrite {
    /// The broker that leads the partition, `host:port`; of several the first is taken.
    pub bootstrap: String,
    /// Keys and values to take turns with: as many as fill whole batches are used.
    pub sample: Vec<Pair>,
    /// Records to write.
    pub records: u64,
}

/// What was written, and how.
#[derive(Clone, Debug)]
pub struct NullWriting {
    /// Records written.
    pub events: u64,
    /// Records in the first batch: they were there when the window opened.
    pub events_first_batch: u64,
    /// Records after which keys and values begin again.
    pub records_distinct: u64,
    /// From the first batch to the last, by the broker's clock.
    pub window: Duration,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// CPU time of the writing thread while it wrote.
    pub cpu: Duration,
    /// Memory that the writer needs: its requests, bytes.
    pub memory_bytes: u64,
    /// Share of the time in which the broker had work to do. See the module.
    pub broker_supplied: f64,
    /// Share of the time in which the writer waited for the broker.
    pub writer_waited: f64,
    /// Part of the CPU time meanwhile that the host kept to itself, 0 to 1.
    pub host_stolen: f64,
}

impl NullWriting {
    /// Why this writing is no wall to measure against, or `None` if it is one.
    pub fn invalid_because(&self) -> Option<String> {
        if let Some(reason) = exhaust::too_short(self.window) {
            return Some(reason);
        }
        (self.broker_supplied < BROKER_SUPPLIED_MIN).then(|| {
            format!(
                "the broker had work for {:.1} % of the time, at least {:.0} % are needed: the writer was the limit; \
                 the host kept {:.1} % of this machine's CPU time to itself",
                self.broker_supplied * 100.0,
                BROKER_SUPPLIED_MIN * 100.0,
                self.host_stolen * 100.0
            )
        })
    }
}

/// Writes `plan.records` records to partition 0 of `topic`, which is empty and keeps append times. `on_progress` gets
/// the number of records acknowledged so far.
pub async fn write(
    plan: NullWrite,
    topic: &Topic,
    on_progress: impl FnMut(u64) + Send + 'static,
) -> Result<NullWriting> {
    ensure!(topic.end().await? == 0, "topic {} is not empty", topic.name());
    let (name, records, bootstrap) = (topic.name(), plan.records, plan.bootstrap.clone());
    let writing = spawn_blocking(move || -> Result<NullWriting> {
        let prebuilt = Prebuilt::new(&Target::new(&name, 0), &plan.sample, plan.records)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(send(prebuilt, &plan.bootstrap, on_progress))
    });
    let mut writing = writing.await.context("the null writer panicked")??;
    let end = topic.end().await?;
    ensure!(end == records, "topic {} ends with {end} of {records} records", topic.name());
    let appended = topics::append_window(&bootstrap, topic).await?;
    (writing.window, writing.events_first_batch) = (appended.window, appended.events_first_batch);
    Ok(writing)
}

/// All that will be sent.
struct Prebuilt {
    /// Sent in turn, again and again.
    whole: Vec<SealedRequest>,
    /// What remains of the records then.
    rest: Option<SealedRequest>,
    /// How many of `whole` are sent, over all turns.
    whole_sent: u64,
    records_distinct: u64,
    /// Bytes of keys and values, over all turns.
    bytes: u64,
}

impl Prebuilt {
    fn new(target: &Target, sample: &[Pair], records: u64) -> Result<Self> {
        ensure!(!sample.is_empty() && records != 0, "the null writer needs at least one record");
        let mut whole = build(target, sample);
        if 1 < whole.len() {
            whole.pop(); // not a full one
        }
        let records_distinct: u64 = whole.iter().map(|request| u64::from(request.records())).sum();
        let mut whole_sent = records / records_distinct * whole.len() as u64;
        let mut left = records % records_distinct;
        let mut turn = whole.iter().map(|request| u64::from(request.records()));
        let mut first = 0;
        while let Some(next) = turn.next().filter(|next| *next <= left) {
            (left, first, whole_sent) = (left - next, first + next, whole_sent + 1);
        }
        let rest = &sample[first as usize..(first + left) as usize];
        let pair_bytes = |(key, value): &Pair| (key.len() + value.len()) as u64;
        let bytes_of = |pairs: &[Pair]| pairs.iter().map(pair_bytes).sum::<u64>();
        let distinct = &sample[..records_distinct as usize];
        let bytes = records / records_distinct * bytes_of(distinct)
            + bytes_of(&sample[..(first + left) as usize]);
        let rest = build(target, rest).pop();
        Ok(Self { whole, rest, whole_sent, records_distinct, bytes })
    }

    fn requests(&self) -> u64 {
        self.whole_sent + u64::from(self.rest.is_some())
    }

    fn get(&mut self, number: u64) -> Option<&mut SealedRequest> {
        if number < self.whole_sent {
            let turn = number % self.whole.len() as u64;
            self.whole.get_mut(turn as usize)
        } else {
            self.rest.as_mut()
        }
    }

    fn memory_bytes(&self) -> u64 {
        self.whole.iter().chain(&self.rest).map(|request| request.bytes().len() as u64).sum()
    }
}

/// Requests that hold `pairs`, each as full as it may be but the last.
fn build(target: &Target, pairs: &[Pair]) -> Vec<SealedRequest> {
    let memory = || Vec::with_capacity(BATCH_BYTES_MAX + 4_096);
    let mut built = Vec::new();
    let mut open = target.open(memory());
    for (key, value) in pairs {
        if !open.has_room(key, value) {
            built.push(std::mem::replace(&mut open, target.open(memory())).seal());
        }
        open.append(key, value);
    }
    if !open.is_empty() {
        built.push(open.seal());
    }
    built
}

/// The timed loop. The window by the broker's clock is filled in later.
async fn send(
    prebuilt: Prebuilt,
    bootstrap: &str,
    mut on_progress: impl FnMut(u64),
) -> Result<NullWriting> {
    let address = bootstrap.split(',').next().unwrap_or(bootstrap).trim();
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("could not connect the null writer to the broker at {address}"))?;
    stream.set_nodelay(true)?;
    let machine = MachineTimes::read().unwrap_or_default();
    let cpu_before = procfs::own_thread_cpu()?;
    let mut pipeline = Pipeline::new(prebuilt);
    while pipeline.answered < pipeline.requests {
        pipeline.hand_over(&stream)?;
        if pipeline.take_answers(&stream)? {
            on_progress(pipeline.records);
            continue;
        }
        let interest = match pipeline.can_send() {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        pipeline.clock.wait();
        let ready = tokio::time::timeout(STALLED_MAX, stream.ready(interest)).await;
        ready.context("the broker stands still")?.context("could not wait for the broker")?;
        pipeline.clock.work();
    }
    let (starved, waited) = pipeline.clock.shares();
    Ok(NullWriting {
        events: pipeline.records,
        events_first_batch: 0,
        records_distinct: pipeline.prebuilt.records_distinct,
        window: Duration::ZERO,
        bytes: pipeline.prebuilt.bytes,
        cpu: procfs::own_thread_cpu()?.saturating_sub(cpu_before),
        memory_bytes: pipeline.prebuilt.memory_bytes(),
        broker_supplied: 1.0 - starved,
        writer_waited: waited,
        host_stolen: MachineTimes::read().map_or(0.0, |now| now.stolen_since(machine)),
    })
}

/// Requests on their way.
struct Pipeline {
    prebuilt: Prebuilt,
    requests: u64,
    /// Requests that the kernel has taken whole.
    sent: u64,
    /// Bytes that it has taken of the next.
    sent_bytes: usize,
    answered: u64,
    /// Records acknowledged.
    records: u64,
    answers: Answers,
    clock: Clock,
}

impl Pipeline {
    fn new(prebuilt: Prebuilt) -> Self {
        Self {
            requests: prebuilt.requests(),
            prebuilt,
            sent: 0,
            sent_bytes: 0,
            answered: 0,
            records: 0,
            answers: Answers::default(),
            clock: Clock::new(Instant::now()),
        }
    }

    fn can_send(&self) -> bool {
        self.sent < self.requests && self.sent - self.answered < IN_FLIGHT_MAX as u64
    }

    /// Gives the kernel what it takes.
    fn hand_over(&mut self, stream: &TcpStream) -> Result<()> {
        while self.can_send() {
            let request = self.prebuilt.get(self.sent).context("there is a next request")?;
            if self.sent_bytes == 0 {
                request.number(self.sent as i32);
            }
            match stream.try_write(&request.bytes()[self.sent_bytes..]) {
                Ok(taken) => self.sent_bytes += taken,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("could not send to the broker"),
            }
            if self.sent_bytes == request.bytes().len() {
                (self.sent, self.sent_bytes) = (self.sent + 1, 0);
                self.clock.lies_with_broker(self.sent - self.answered);
            }
        }
        Ok(())
    }

    /// Reads the answers that are there; `false`: there was none.
    fn take_answers(&mut self, stream: &TcpStream) -> Result<bool> {
        let mut received = [0; ANSWER_BUFFER_BYTES];
        match stream.try_read(&mut received) {
            Ok(0) => anyhow::bail!("the broker closed the connection"),
            Ok(count) => self.answers.feed(&received[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("could not read from the broker"),
        }
        while let Some(answer) = self.answers.next()? {
            ensure!(
                self.answered < self.sent && answer.correlation_id == self.answered as i32,
                "the broker answered request {}, not {}",
                answer.correlation_id,
                self.answered
            );
            ensure!(
                answer.base_offset == self.records as i64,
                "a batch lies at {}, not at {}: somebody else writes to the topic",
                answer.base_offset,
                self.records
            );
            let request = self.prebuilt.get(self.answered).context("it was sent")?;
            self.records += u64::from(request.records());
            self.answered += 1;
            self.clock.lies_with_broker(self.sent - self.answered);
        }
        Ok(true)
    }
}

/// Adds up who kept whom waiting.
struct Clock {
    began: Instant,
    /// Since when nothing has changed.
    since: Instant,
    is_waiting: bool,
    /// Whole requests that lie with the broker.
    requests: u64,
    starved: Duration,
    waited: Duration,
}

impl Clock {
    fn new(now: Instant) -> Self {
        let none = Duration::ZERO;
        Self { began: now, since: now, is_waiting: false, requests: 0, starved: none, waited: none }
    }

    fn wait(&mut self) {
        self.pass(Instant::now());
        self.is_waiting = true;
    }

    fn work(&mut self) {
        self.pass(Instant::now());
        self.is_waiting = false;
    }

    fn lies_with_broker(&mut self, requests: u64) {
        self.pass(Instant::now());
        self.requests = requests;
    }

    fn pass(&mut self, now: Instant) {
        let passed = now.duration_since(self.since);
        self.since = now;
        if self.is_waiting {
            self.waited += passed;
        } else if self.requests == 0 {
            self.starved += passed;
        }
    }

    /// Shares of the time until now: starved, waited.
    fn shares(&self) -> (f64, f64) {
        let all = self.since.duration_since(self.began).as_secs_f64().max(1e-9);
        (self.starved.as_secs_f64() / all, self.waited.as_secs_f64() / all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pairs: usize) -> Vec<Pair> {
        (0..pairs).map(|pair| (pair.to_be_bytes().to_vec(), vec![0; 10_000])).collect()
    }

    fn writing(window_ms: u64, broker_supplied: f64) -> NullWriting {
        NullWriting {
            events: 300,
            events_first_batch: 100,
            records_distinct: 100,
            window: Duration::from_millis(window_ms),
            bytes: 0,
            cpu: Duration::ZERO,
            memory_bytes: 0,
            broker_supplied,
            writer_waited: 0.5,
            host_stolen: 0.0,
        }
    }

    #[test]
    fn exactly_as_many_records_are_sent_as_asked_for() {
        let target = Target::new("t", 0);
        for (pairs, records) in
            [(1, 1), (1, 5), (7, 3), (250, 104), (250, 105), (250, 208), (250, 500), (250, 1_777)]
        {
            let sample = sample(pairs);
            let mut prebuilt = Prebuilt::new(&target, &sample, records).expect("built");
            let sent: u64 = (0..prebuilt.requests())
                .map(|number| u64::from(prebuilt.get(number).expect("there").records()))
                .sum();
            assert_eq!(sent, records, "{pairs}");
            assert!(prebuilt.records_distinct <= pairs as u64);
            assert_eq!(prebuilt.bytes, records * 10_008);
        }
        assert!(Prebuilt::new(&target, &[], 1).is_err());
        assert!(Prebuilt::new(&target, &sample(1), 0).is_err());
    }

    #[test]
    fn only_full_batches_take_turns() {
        let prebuilt = Prebuilt::new(&Target::new("t", 0), &sample(250), 1_000).expect("built");
        assert_eq!(prebuilt.whole.len(), 2);
        assert_eq!(prebuilt.whole[0].records(), prebuilt.whole[1].records());
    }

    #[test]
    fn the_broker_is_starved_while_the_writer_works_and_nothing_lies_with_it() {
        let began = Instant::now();
        let mut clock = Clock::new(began);
        let at = |ms| began + Duration::from_millis(ms);
        clock.pass(at(10)); // handing over the first: starved
        clock.requests = 1;
        clock.pass(at(30));
        clock.is_waiting = true;
        clock.pass(at(80));
        clock.requests = 0;
        clock.pass(at(90)); // the kernel takes no more: the broker is slow to read
        clock.is_waiting = false;
        clock.pass(at(100));
        let (starved, waited) = clock.shares();
        assert!((starved - 0.2).abs() < 1e-9 && (waited - 0.6).abs() < 1e-9, "{starved} {waited}");
    }

    #[test]
    fn only_a_long_window_with_a_supplied_broker_is_valid() {
        assert!(writing(2_500, 0.97).invalid_because().is_none());
        for bad in [writing(1_000, 0.99), writing(3_000, 0.90)] {
            assert!(bad.invalid_because().is_some(), "{bad:?}");
        }
    }
}
