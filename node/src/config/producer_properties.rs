//! Every setting of Kafka's producer, and what becomes of it here.
//!
//! Names, types, checks and what a form shows of them are those of `ProducerConfig` of Kafka 4.1.

use super::property::{Kind, Property};

const TRANSACTIONS: &str = "exactly-once delivery comes with a later version";
const PARTITIONER: &str =
    "Java partitioners cannot be loaded; records go where Kafka's default partitioner puts them";
const SOCKETS: &str = "sockets are tuned by the node itself";
const METADATA: &str = "metadata is fetched when a broker says that it has changed";

/// In the order of Java's declaration, without what concerns encryption and SASL.
pub(super) const PRODUCER_PROPERTIES: &[Property] = &[
    Property::list("bootstrap.servers", "")
        .high("Brokers that are asked first, host:port, instead of the worker's."),
    Property::text("client.dns.lookup", "use_all_dns_ips")
        .accepted(SOCKETS)
        .medium("How Java resolves the names of brokers; without effect here."),
    Property::long("buffer.memory", "33554432")
        .at_least(0)
        .high("Bytes that may wait for their acknowledgement before no more is read."),
    Property::int("retries", "2147483647")
        .at_least(0)
        .accepted("a batch is sent again until it is acknowledged; giving up would lose events")
        .high("How often Java sends a batch again; here until it is acknowledged."),
    Property::text("acks", "all")
        .one_of_strings(&["all", "-1", "0", "1"])
        .only(
            &["all", "-1", "1"],
            "with acks=0 no broker confirms a record, so the position that is stored after it \
         would be a guess",
        )
        .low(
            "Who must have a record before it counts as sent: all replicas in sync, or \
             the leader alone.",
        ),
    Property::text("compression.type", "none")
        .one_of_strings(&["none", "gzip", "snappy", "lz4", "zstd"])
        .high("How batches are compressed."),
    Property::int("compression.gzip.level", "-1")
        .between(1, 9)
        .or_equal(-1)
        .medium("How hard gzip compresses; -1: its own default."),
    Property::int("compression.lz4.level", "9").between(1, 17).medium("How hard lz4 compresses."),
    Property::int("compression.zstd.level", "3")
        .between(-131_072, 22)
        .medium("How hard zstd compresses."),
    Property::int("batch.size", "1048576")
        .at_least(0)
        .default_of_java(Some("16384"))
        .medium("The largest batch of one partition in bytes, before compression."),
    Property::boolean("partitioner.adaptive.partitioning.enable", "true")
        .accepted("records have keys, so their partition is given")
        .low(
            "Whether Java gives faster brokers more records without keys; without effect \
             here.",
        ),
    Property::long("partitioner.availability.timeout.ms", "0")
        .accepted("records have keys, so their partition is given")
        .low("When Java avoids a slow partition for records without keys; without effect here."),
    Property::boolean("partitioner.ignore.keys", "false")
        .not_yet(PARTITIONER)
        .medium("Whether Java leaves the key out of the choice of a partition; refused here."),
    Property::long("linger.ms", "0")
        .at_least(0)
        .default_of_java(Some("5"))
        .medium("How long a batch waits for more records, in milliseconds."),
    Property::int("delivery.timeout.ms", "2147483647")
        .at_least(0)
        .default_of_java(Some("120000"))
        .medium("How long a record may be under way before that is an error, in milliseconds."),
    Property::text("client.id", "").medium("What the broker's log calls this client."),
    Property::int("send.buffer.bytes", "131072")
        .at_least(-1)
        .accepted(SOCKETS)
        .medium("The size of the socket's send buffer in Java; without effect here."),
    Property::int("receive.buffer.bytes", "32768")
        .at_least(-1)
        .accepted(SOCKETS)
        .medium("The size of the socket's receive buffer in Java; without effect here."),
    Property::int("max.request.size", "1048576")
        .at_least(0)
        .medium("The largest request to a broker in bytes."),
    Property::long("reconnect.backoff.ms", "50")
        .at_least(0)
        .accepted(SOCKETS)
        .low("How long Java waits before it connects again; without effect here."),
    Property::long("reconnect.backoff.max.ms", "1000")
        .at_least(0)
        .accepted(SOCKETS)
        .low("The longest that Java waits before it connects again; without effect here."),
    Property::long("retry.backoff.ms", "100")
        .at_least(0)
        .low("How long a request waits before it is sent again, in milliseconds."),
    Property::long("retry.backoff.max.ms", "1000").at_least(0).accepted(SOCKETS).low(
        "The longest that Java waits before it sends a request again; without effect \
             here.",
    ),
    Property::long("max.block.ms", "9223372036854775807")
        .at_least(0)
        .accepted("the node waits for brokers until it is stopped")
        .default_of_java(Some("60000"))
        .medium("How long Java waits for room or metadata; without effect here."),
    Property::int("request.timeout.ms", "30000")
        .at_least(0)
        .medium("After how long without an answer a request counts as failed, in milliseconds."),
    Property::long("metadata.max.age.ms", "300000")
        .at_least(0)
        .accepted(METADATA)
        .low("How old Java lets metadata become; without effect here."),
    Property::long("metadata.max.idle.ms", "300000")
        .at_least(5000)
        .accepted(METADATA)
        .low("How long Java keeps the metadata of an idle topic; without effect here."),
    Property::int("max.in.flight.requests.per.connection", "5")
        .at_least(1)
        .low("How many requests may be under way on a connection, five at most."),
    Property::optional("key.serializer", Kind::Class)
        .accepted("keys are written by the converter")
        .required()
        .high("The class that writes keys in Java; the converter does it here."),
    Property::optional("value.serializer", Kind::Class)
        .accepted("values are written by the converter")
        .required()
        .high("The class that writes values in Java; the converter does it here."),
    Property::long("socket.connection.setup.timeout.ms", "10000")
        .accepted(SOCKETS)
        .medium("How long Java waits for a connection at first; without effect here."),
    Property::long("socket.connection.setup.timeout.max.ms", "30000")
        .accepted(SOCKETS)
        .medium("The longest that Java waits for a connection; without effect here."),
    Property::long("connections.max.idle.ms", "540000")
        .accepted(SOCKETS)
        .medium("After how long Java closes an idle connection; without effect here."),
    Property::optional("partitioner.class", Kind::Class)
        .not_yet(PARTITIONER)
        .medium("The class that chooses partitions in Java; refused here."),
    Property::list("interceptor.classes", "")
        .not_yet("Java interceptors cannot be loaded")
        .low("Classes that see records before they are sent in Java; refused here."),
    Property::boolean("enable.idempotence", "true")
        .accepted("the producer stays idempotent: it only takes duplicates away")
        .low("Whether batches that are sent again are told apart; always on here."),
    Property::boolean("enable.metrics.push", "true")
        .accepted("metrics are not pushed to brokers")
        .low("Whether Java sends its metrics to brokers; without effect here."),
    Property::list("metric.reporters", "")
        .accepted("Java metric reporters cannot be loaded")
        .default_of_java(Some("org.apache.kafka.common.metrics.JmxReporter"))
        .low("Classes that report metrics in Java; without effect here."),
    Property::int("metrics.num.samples", "2")
        .accepted("metrics have their own settings here")
        .low("How many samples a metric of Java has; without effect here."),
    Property::text("metrics.recording.level", "INFO")
        .accepted("metrics have their own settings here")
        .low("Which metrics Java keeps; without effect here."),
    Property::long("metrics.sample.window.ms", "30000")
        .accepted("metrics have their own settings here")
        .low("How long a sample of a metric of Java lasts; without effect here."),
    Property::int("transaction.timeout.ms", "60000")
        .accepted(TRANSACTIONS)
        .low("How long a transaction may last; there are none here."),
    Property::optional("transactional.id", Kind::Text)
        .not_yet(TRANSACTIONS)
        .low("The name of the producer's transactions; refused here."),
    Property::boolean("transaction.two.phase.commit.enable", "false")
        .not_yet(TRANSACTIONS)
        .low("Whether transactions are committed in two phases; refused here."),
    Property::text("metadata.recovery.strategy", "rebootstrap")
        .accepted(METADATA)
        .low("What Java does when it knows no broker that answers; without effect here."),
    Property::long("metadata.recovery.rebootstrap.trigger.ms", "300000")
        .accepted(METADATA)
        .low("When Java asks its first brokers again; without effect here."),
];
