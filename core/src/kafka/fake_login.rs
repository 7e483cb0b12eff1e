//! The side of a broker that asks who we are, and lies where a test wants it.
//!
//! Like a broker, it takes nothing else before a login, nor in the midst of one.

use std::collections::BTreeMap;

use crate::kafka::api::Api;
use crate::kafka::api::sasl_authenticate::tests as sasl_authenticate;
use crate::kafka::api::sasl_handshake::tests as sasl_handshake;
use crate::kafka::errors::ErrorCode;
use crate::kafka::sasl::{Login, Mechanism, SaslConfig};
use crate::kafka::wire::{Reader, WireError};
use crate::scram::{ClientFirst, ServerSignature};

pub(crate) const USERNAME: &str = "us=er";
pub(crate) const PASSWORD: &str = "pen,cil";

/// A login that is taken if `password` is the right one.
pub(crate) fn config(mechanism: Mechanism, password: &str) -> SaslConfig {
    let (username, password) = (USERNAME.to_owned(), password.to_owned());
    SaslConfig { login: Login { mechanism, username, password }, nonce_seed: [7; 32] }
}

/// What a broker says that is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    ForeignNonce,
    Iterations(u32),
    Salt,
    Signature,
    NotUtf8,
    Empty,
}

#[derive(Debug)]
enum Stage {
    Nobody,
    Shaken,
    Challenged { client_final: String, signature: ServerSignature },
    Known,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FakeLogin {
    mechanism: Mechanism,
    pub(crate) lie: Option<Lie>,
    /// What every login is answered with.
    pub(crate) fault: Option<ErrorCode>,
    pub(crate) session_lifetime_ms: i64,
    /// By broker.
    stages: BTreeMap<usize, Stage>,
    /// The nonces that were seen.
    pub(crate) nonces: Vec<String>,
    /// Logins that went well.
    pub(crate) logins: usize,
}

impl FakeLogin {
    pub(crate) fn new(mechanism: Mechanism) -> Self {
        Self {
            mechanism,
            lie: None,
            fault: None,
            session_lifetime_ms: 0,
            stages: BTreeMap::new(),
            nonces: Vec::new(),
            logins: 0,
        }
    }

    /// Asserts that `api` may be asked now.
    pub(crate) fn check(&mut self, broker: usize, api: Api) {
        let stage = self.stages.entry(broker).or_insert(Stage::Nobody);
        let is_fine = match api {
            Api::ApiVersions => {
                *stage = Stage::Nobody;
                true
            }
            Api::SaslHandshake => matches!(stage, Stage::Nobody | Stage::Known),
            Api::SaslAuthenticate => matches!(stage, Stage::Shaken | Stage::Challenged { .. }),
            Api::Produce
            | Api::Fetch
            | Api::ListOffsets
            | Api::Metadata
            | Api::FindCoordinator
            | Api::JoinGroup
            | Api::Heartbeat
            | Api::LeaveGroup
            | Api::SyncGroup
            | Api::CreateTopics
            | Api::InitProducerId
            | Api::DescribeConfigs => matches!(stage, Stage::Known),
        };
        assert!(is_fine, "{} in {stage:?}", api.name());
    }

    pub(crate) fn answer(
        &mut self,
        api: Api,
        broker: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Vec<u8>, WireError> {
        if api == Api::SaslHandshake {
            let named = reader.name()?;
            let own = self.mechanism.name();
            let error = if named == own {
                self.stages.insert(broker, Stage::Shaken);
                ErrorCode::NONE
            } else {
                ErrorCode::UNSUPPORTED_SASL_MECHANISM
            };
            return Ok(sasl_handshake::write(error, &[own]));
        }
        let message = reader.compact_bytes()?.unwrap_or_default().to_vec();
        reader.skip_tags()?;
        let stage = self.stages.insert(broker, Stage::Nobody);
        if let Some(error) = self.fault {
            return Ok(refuse(error));
        }
        Ok(match (self.mechanism, stage) {
            (Mechanism::Scram(hash), Some(Stage::Shaken)) => {
                let text = String::from_utf8(message).unwrap();
                let (_, nonce) = text.rsplit_once("r=").unwrap();
                assert_eq!(text, format!("n,,n=us=3Der,r={nonce}"));
                self.nonces.push(nonce.to_owned());
                let own =
                    ClientFirst::new(hash.into(), USERNAME, PASSWORD.to_owned(), nonce.to_owned());
                let good = format!("r={nonce}server,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
                let (client_final, signature) = own.prove(&good).unwrap();
                self.stages.insert(broker, Stage::Challenged { client_final, signature });
                self.say(match self.lie {
                    Some(Lie::ForeignNonce) => good.replace("r=", "r=x").into_bytes(),
                    Some(Lie::Iterations(count)) => {
                        good.replace("4096", &count.to_string()).into_bytes()
                    }
                    Some(Lie::Salt) => good.replace("s=W", "s=!").into_bytes(),
                    Some(Lie::NotUtf8) => vec![0xff; 9],
                    Some(Lie::Empty) => Vec::new(),
                    Some(Lie::Signature) | None => good.into_bytes(),
                })
            }
            (Mechanism::Scram(_), Some(Stage::Challenged { client_final, signature })) => {
                if message != client_final.as_bytes() {
                    return Ok(refuse(ErrorCode::SASL_AUTHENTICATION_FAILED));
                }
                self.stages.insert(broker, Stage::Known);
                self.logins += 1;
                let mut message = signature.message().into_bytes();
                if self.lie == Some(Lie::Signature) {
                    // The first digit of the signature is another one.
                    message[2] = if message[2] == b'A' { b'B' } else { b'A' };
                }
                self.say(message)
            }
            (Mechanism::Plain, Some(Stage::Shaken)) => {
                if message != format!("\0{USERNAME}\0{PASSWORD}").as_bytes() {
                    return Ok(refuse(ErrorCode::SASL_AUTHENTICATION_FAILED));
                }
                self.stages.insert(broker, Stage::Known);
                self.logins += 1;
                self.say(Vec::new())
            }
            (mechanism, stage) => panic!("{mechanism:?} in {stage:?}"),
        })
    }

    fn say(&self, message: Vec<u8>) -> Vec<u8> {
        sasl_authenticate::write((ErrorCode::NONE, None), &message, self.session_lifetime_ms)
    }
}

fn refuse(error: ErrorCode) -> Vec<u8> {
    sasl_authenticate::write((error, Some("Authentication failed")), b"", 0)
}
