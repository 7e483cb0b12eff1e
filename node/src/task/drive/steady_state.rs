//! What an event costs the node once a stream runs: no allocation, by either driver, over real sockets.
//!
//! ```text
//!  replay server ══ loopback ══► Drive::run on a thread of Runtimes ══ loopback ══► acknowledging broker
//!  └── threads of their own ──┘  allocations of this thread: counted               └ threads of its own ┘
//! ```
//!
//! `core/pipeline/steady_state.rs` counts the pipeline alone; here the operations of the driver, the runtime, the
//! queues of the connections and the positions in the offset topic are part of it. An operation costs memory whatever
//! drives it: a future, and its place among those under way. So the count is held against reads and batches, and both
//! together must be few beside the events. How many there are is up to the kernel, what each of them costs is not.

use std::path::Path;
use std::sync::mpsc;

use bson::{Bson, Document, Timestamp, doc};
use millrace_bench::alone::in_process::InProcess;
use millrace_core::memory::MemoryBudget;
use millrace_core::pipeline::{PipelineConfig, PipelineStats};
use millrace_io::driver::DriverChoice;

use super::*;
use crate::allocations;
use crate::config::{Concealed, ConnectorFile, Mode, SourceConfig, WorkerConfig};
use crate::offsets::GoOn;
use crate::task::{Runtimes, locate, pipeline_config};

const EVENTS_PER_REPLY: usize = 1_000;
/// Buffers reach their size.
const EVENTS_WARM_UP: u64 = 40_000;
const EVENTS_COUNTED: u64 = 80_000;
const COLLECTIONS: [&str; 3] = ["orders", "people", "things"];
/// How often it is looked whether enough events have gone through.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Allocations that a read may cost: its future, its place among the operations, a segment of the inbox.
const PER_READ_MAX: u64 = 4;

/// Allocations that a batch may cost, its share of a request's write and answer included. io_uring needs a list of the
/// segments that the kernel reads from.
fn per_batch_max(driver: Driver) -> u64 {
    match driver {
        Driver::Epoll => 8,
        Driver::Uring => 10,
    }
}

/// Allocations that a look may cost, which interrupts the drive: on a busy machine there are many looks.
const PER_LOOK_MAX: u64 = 4;

/// Those that a batch costs more where another thread compresses it: the job, its way there and back, a request alone.
const PER_BATCH_ELSEWHERE_MAX: u64 = 6;

/// Where batches are compressed, if they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compressed {
    Not,
    Here,
    Elsewhere,
}

impl Compressed {
    fn properties(self) -> &'static str {
        match self {
            Self::Not => "",
            Self::Here => "producer.compression.type=lz4\ncompression.threads=0\n",
            Self::Elsewhere => "producer.compression.type=lz4\ncompression.threads=2\n",
        }
    }
}

/// An event of each operation for each collection and document.
fn events() -> Vec<Document> {
    let documents = [
        doc! { "a": 1 },
        doc! { "text": "plain text, ".repeat(40), "n": 5_i64, "d": 1.5, "cjk": "語彙".repeat(30) },
        doc! { "numbers": (0..40).map(Bson::Int32).collect::<Vec<_>>(), "in": { "b": [{ "c": Bson::Null }] } },
    ];
    let mut events = Vec::new();
    for document in documents {
        for collection in COLLECTIONS {
            for operation in ["insert", "replace", "update", "delete"] {
                let number = events.len() as i32;
                let mut event = doc! {
                    "_id": { "_data": format!("82{number:08X}2B0229296E04") },
                    "operationType": operation,
                    "clusterTime": Timestamp { time: 1_700_000_000, increment: 1 },
                    "ns": { "db": "shop", "coll": collection },
                    "documentKey": { "_id": number },
                };
                if operation == "update" {
                    let changed =
                        doc! { "updatedFields": document.clone(), "removedFields": ["x"] };
                    event.insert("updateDescription", changed);
                } else if operation != "delete" {
                    event.insert("fullDocument", document.clone());
                }
                events.push(event);
            }
        }
    }
    events
}

/// As a worker with an offset topic makes it of its files. Batches and the buffer are small, so that there are many of
/// the former and the latter has reached its size before anything is counted; everything else is left to the defaults.
fn config(peers: &InProcess, format: &str, compressed: Compressed) -> PipelineConfig {
    let converter = match format {
        "bson" => "org.apache.kafka.connect.converters.ByteArrayConverter",
        _ => "org.apache.kafka.connect.storage.StringConverter",
    };
    let worker = format!(
        "bootstrap.servers={}\nkey.converter={converter}\nvalue.converter={converter}\n\
         offset.storage.topic=connect-offsets\n\
         producer.batch.size=131072\nproducer.buffer.memory=2097152\n{}",
        peers.bootstrap(),
        compressed.properties()
    );
    let connector = format!(
        "name=steady\nconnector.class=com.mongodb.kafka.connect.MongoSourceConnector\n\
         connection.uri={}\ndatabase=shop\noutput.format.key={format}\noutput.format.value={format}\n",
        peers.mongodb_uri()
    );
    let worker = WorkerConfig::parse(
        Path::new("worker.properties"),
        worker.as_bytes(),
        Mode::Standalone,
        true,
    );
    let (worker, _) = worker.expect("a worker file");
    let file = ConnectorFile::parse(Path::new("steady.properties"), connector.as_bytes());
    let source = SourceConfig::new(&file.expect("a connector file"), &worker, true);
    let (source, _) = source.expect("a connector");
    let memory = MemoryBudget::new(worker.memory_bytes_max);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let located = runtime.block_on(locate(&source.mongo)).unwrap();
    pipeline_config(&worker, (&source, located), (GoOn::Begin, None), b"key".to_vec(), &memory)
        .expect("a pair that goes")
}

/// What a thread had taken and done at some time.
struct Mark {
    allocations: u64,
    /// How often it was looked since the mark before.
    looks: u64,
    stats: PipelineStats,
}

impl Drive {
    /// Runs on until `events` events are acknowledged, or as good as: positions are records, too.
    async fn run_until(&mut self, events: u64) -> Mark {
        let mut looks = 0;
        while self.pipeline.stats().records < events {
            looks += 1;
            tokio::select! {
                ended = self.run() => panic!("ended by itself: {ended:?}"),
                () = clock::wait(LOOK_INTERVAL) => {}
            }
        }
        Mark { allocations: allocations::taken(), looks, stats: self.pipeline.stats() }
    }
}

/// Both ends of the counted stretch.
fn measure(config: PipelineConfig, driver: Driver) -> [Mark; 2] {
    let (order, stop) = watch::channel(false);
    let state = StateCell::new();
    let around = Surroundings {
        connector: "steady".to_owned(),
        offsets: None,
        stop,
        stop_timeout: STOP_TIMEOUT,
        state: state.clone(),
        encryption: Encryption::default(),
        topics: ActiveTopics::default(),
        figures: FiguresCell::default(),
        concealed: Concealed::default(),
    };
    let (say, heard) = mpsc::channel();
    let mut runtimes = Runtimes::new(driver);
    runtimes.spawn("steady", &state.clone(), move || {
        Box::pin(async move {
            let mut drive = Drive::new(Pipeline::new(config, clock::now()), around, driver);
            let begin = drive.run_until(EVENTS_WARM_UP).await;
            let end = drive.run_until(EVENTS_WARM_UP + EVENTS_COUNTED).await;
            order.send_replace(true);
            assert!(matches!(drive.run().await, Ok(Ended::Settled)));
            say.send([begin, end]).expect("somebody waits");
        })
    });
    runtimes.join();
    heard.try_recv().unwrap_or_else(|_| panic!("nothing was counted: {:?}", state.read()))
}

fn assert_steady(driver: Driver, format: &str, compressed: Compressed) {
    let replayed = EVENTS_WARM_UP + EVENTS_COUNTED;
    let tape: Vec<_> = events().into_iter().cycle().take(EVENTS_PER_REPLY).collect();
    let mut peers = InProcess::start(&tape, EVENTS_PER_REPLY, replayed).expect("two servers");
    let [begin, end] = measure(config(&peers, format, compressed), driver);
    peers.ensure_served().expect("a peer that had everything it needed");
    let counts = peers.counts();
    assert!(peers.events() <= counts.records, "lost: {counts:?}");
    assert_eq!((counts.skipped, counts.repeated, counts.unnumbered), (0, 0, 0), "{counts:?}");
    let allocations = end.allocations - begin.allocations;
    let since = |count: fn(&PipelineStats) -> u64| count(&end.stats) - count(&begin.stats);
    let events = since(|stats| stats.events);
    let (reads, batches) = (since(|stats| stats.reads), since(|stats| stats.batches));
    let elsewhere = u64::from(compressed == Compressed::Elsewhere) * PER_BATCH_ELSEWHERE_MAX;
    let per_batch_max = per_batch_max(driver) + elsewhere;
    let most = PER_READ_MAX * reads + per_batch_max * batches + PER_LOOK_MAX * end.looks;
    let counted = format!(
        "{driver}, {format}, compressed {compressed:?}: {allocations} allocations for {events} events in \
         {reads} reads, {batches} batches, {} requests and {} looks; allowed {most}: {PER_READ_MAX} per read, \
         {per_batch_max} per batch, {PER_LOOK_MAX} per look",
        since(|stats| stats.requests),
        end.looks
    );
    println!("{counted}");
    assert!(most < events / 10, "an allocation for every tenth event would not show: {counted}");
    assert!(allocations <= most, "{counted}");
}

fn assert_steady_in_every_form(driver: Driver) {
    assert_steady(driver, "json", Compressed::Not);
    assert_steady(driver, "bson", Compressed::Not);
    assert_steady(driver, "json", Compressed::Here);
    assert_steady(driver, "json", Compressed::Elsewhere);
}

#[test]
fn an_event_allocates_nothing_when_epoll_drives_the_sockets() {
    assert_steady_in_every_form(Driver::Epoll);
}

#[test]
fn an_event_allocates_nothing_when_io_uring_drives_the_sockets() {
    match DriverChoice::Uring.resolve() {
        (driver, None) => assert_steady_in_every_form(driver),
        (_, Some(error)) => eprintln!("io_uring is not tested, this machine forbids it: {error}"),
    }
}
