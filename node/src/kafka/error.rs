//! Why the worker cannot do with Kafka what it wants.

use std::io;
use std::time::Duration;

use millrace_core::kafka::opening::OpeningError;
use millrace_core::kafka::wire::WireError;
use millrace_core::link::Address;
use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub(crate) enum KafkaError {
    #[error("cannot connect to broker {broker}: {error}")]
    Connect { broker: Address, error: io::Error },
    #[error("cannot log in at broker {broker}: {error}")]
    Login { broker: Address, error: millrace_core::kafka::sasl::SaslError },
    #[error("broker {broker} cannot be used: {error}")]
    Unusable { broker: Address, error: OpeningError },
    #[error("the connection to broker {broker} was lost at a {request} request: {error}")]
    Lost { broker: Address, request: &'static str, error: io::Error },
    #[error("broker {broker} did not answer a {request} request within {} ms", .after.as_millis())]
    Silent { broker: Address, request: &'static str, after: Duration },
    #[error("broker {broker} answered a {request} request with something else: {error}")]
    Malformed { broker: Address, request: &'static str, error: WireError },
}
