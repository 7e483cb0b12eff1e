//! Settings of the Kafka client, with the defaults of Java's producer where it has them.

use std::time::Duration;

use crate::kafka::codec::Compression;
use crate::kafka::sasl::SaslConfig;
use crate::link::Address;
use crate::memory::MemoryBudget;
use crate::recovery::Backoff;

/// Who must have a batch before a broker acknowledges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// All replicas in sync (`acks=all`).
    All,
    /// The leader alone (`acks=1`): what it has not passed on is lost with it.
    Leader,
}

impl Acks {
    /// The number in a produce request.
    pub(super) fn code(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
        }
    }
}

/// Settings of a [`super::Client`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Brokers to ask for the others (`bootstrap.servers`).
    pub bootstrap: Vec<Address>,
    /// Shown in the brokers' logs (`client.id`).
    pub client_id: String,
    /// How to log in; `None`: not at all.
    pub sasl: Option<SaslConfig>,
    /// See [`Acks`].
    pub acks: Acks,
    /// Whether brokers refuse what comes twice or out of order (`enable.idempotence`). Has effect
    /// with [`Acks::All`] only.
    pub idempotence: bool,
    /// Produce requests without an answer, per broker; 1 to 5. Without idempotence it is 1, since a
    /// retry would overtake.
    pub in_flight_max: usize,
    /// A batch is closed at this size (`batch.size`), before it is compressed. A larger record
    /// travels alone.
    pub batch_bytes_max: usize,
    /// What is done with the records of a batch that is closed (`compression.type`).
    pub compression: Compression,
    /// Batches that are compressed on other threads at the same time; 0: on the one that calls the client. See
    /// [`super::Client::next_seal_job`].
    pub compression_threads: usize,
    /// Batches of one produce request together (`max.request.size`); a record larger than this is
    /// refused.
    pub request_bytes_max: usize,
    /// How long a batch is kept open though it could be sent (`linger.ms`).
    pub linger: Duration,
    /// An answer later than this closes the connection (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// A record not acknowledged within this is an error (`delivery.timeout.ms`); `None`: retried
    /// for ever.
    pub delivery_timeout: Option<Duration>,
    /// First pause before a retry (`retry.backoff.ms`); doubled up to [`Self::retry_backoff_max`].
    pub retry_backoff: Duration,
    /// Longest pause before a retry (`retry.backoff.max.ms`).
    pub retry_backoff_max: Duration,
    /// How long no broker may be reached at the start, or a topic be missing, before that is an
    /// error.
    pub startup_timeout: Duration,
    /// Bytes of batches that may be open, waiting or in flight, before [`super::Client::has_room`]
    /// says no (`buffer.memory`).
    pub buffer_bytes_max: usize,
    /// Where the memory of batches comes from; two batches are always had.
    pub memory: MemoryBudget,
}

impl ClientConfig {
    /// Defaults, with these brokers.
    pub fn new(bootstrap: Vec<Address>) -> Self {
        Self {
            bootstrap,
            client_id: "millrace".to_owned(),
            sasl: None,
            acks: Acks::All,
            idempotence: true,
            in_flight_max: 5,
            batch_bytes_max: 512 * 1024,
            compression: Compression::None,
            compression_threads: 0,
            request_bytes_max: 1024 * 1024,
            linger: Duration::ZERO,
            request_timeout: Duration::from_secs(30),
            delivery_timeout: None,
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            startup_timeout: Duration::from_secs(30),
            buffer_bytes_max: 32 * 1024 * 1024,
            memory: MemoryBudget::unbounded(),
        }
    }

    pub(super) fn is_idempotent(&self) -> bool {
        self.idempotence && self.acks == Acks::All
    }

    /// Pauses between attempts at one thing.
    pub(super) fn backoff(&self) -> Backoff {
        let first = self.retry_backoff.max(Duration::from_millis(1));
        Backoff::new(first, self.retry_backoff_max.max(first))
    }

    /// Produce requests in flight per broker. Brokers remember the last five batches of a producer,
    /// so more than five could not be recognised when they come twice.
    pub(super) fn in_flight_limit(&self) -> usize {
        if self.is_idempotent() { self.in_flight_max.clamp(1, 5) } else { 1 }
    }
}
