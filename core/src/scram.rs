//! SCRAM: proves to a server that we know a password, and makes it prove that it does.
//!
//! ```text
//!  n,,n=user,r=NONCE                  ClientFirst::message ──►
//!                                     ◄── r=NONCE+theirs,s=salt,i=iterations
//!  c=biws,r=NONCE+theirs,p=proof      ClientFirst::prove ──►
//!                                     ◄── v=signature     ServerSignature::verify, in constant time
//! ```
//!
//! The messages alone; how they travel is the protocol's affair ([`crate::mongo::scram`],
//! [`crate::kafka`]), as is how a password is prepared before, and which hashes are good enough: SHA-1 is
//! for users of MongoDB who have nothing else. Facts: RFC 5802, RFC 7677.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{EagerHash, Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Fewer iterations make the password cheap to guess; RFC 5802 and RFC 7677 forbid them.
const ITERATIONS_MIN: u32 = 4_096;
/// So many keep the thread busy for seconds. Kafka's brokers use at most 16,384; MongoDB uses 15,000, but its
/// `scramSHA256IterationCount` has no such limit, and who raised it must get in.
const ITERATIONS_MAX: u32 = 2_000_000;

/// The hash that both sides use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

/// Why the conversation cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramError {
    /// The password holds characters that SASLprep forbids.
    Password,
    /// A message of the server lacks a part or has one that cannot be read.
    Malformed,
    /// The server's nonce does not begin with ours: the message belongs to another conversation.
    Nonce,
    /// The server asks for an iteration count out of range.
    Iterations {
        /// As asked.
        iterations: u32,
    },
    /// The server does not know the password: it is not the server that it claims to be.
    Signature,
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password => f.write_str("the password holds characters that SASLprep forbids"),
            Self::Malformed => f.write_str("the server sent a malformed SCRAM message"),
            Self::Nonce => f.write_str("the server answered with a foreign nonce"),
            Self::Iterations { iterations } => write!(
                f,
                "the server asks for {iterations} iterations, allowed are {ITERATIONS_MIN} to \
                 {ITERATIONS_MAX}"
            ),
            Self::Signature => f.write_str("the server could not prove that it knows the password"),
        }
    }
}

impl std::error::Error for ScramError {}

/// A conversation whose first message is on the way.
pub struct ClientFirst {
    hash: Hash,
    nonce: String,
    /// `n=user,r=NONCE`: part of what both sides sign.
    bare: String,
    password: String,
}

impl ClientFirst {
    /// A conversation of `username`. `nonce` must be printable, without commas, random and never
    /// used before.
    pub fn new(hash: Hash, username: &str, password: String, nonce: String) -> Self {
        let user = username.replace('=', "=3D").replace(',', "=2C");
        Self { hash, bare: format!("n={user},r={nonce}"), nonce, password }
    }

    /// The first message of the client.
    pub fn message(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The last message of the client, in answer to the first of the server; and what the server
    /// must send then.
    ///
    /// # Errors
    /// See [`ScramError`]. Cost: hashing, some 10 ms for the iterations that MongoDB and Kafka ask for, up to seconds
    /// for the most that are taken.
    pub fn prove(&self, server_first: &str) -> Result<(String, ServerSignature), ScramError> {
        let challenge = Challenge::read(server_first, &self.nonce)?;
        Ok(match self.hash {
            Hash::Sha1 => {
                let (message, signature) = self.sign::<Sha1>(server_first, &challenge)?;
                (message, ServerSignature(Signature::Sha1(Box::new(signature))))
            }
            Hash::Sha256 => {
                let (message, signature) = self.sign::<Sha256>(server_first, &challenge)?;
                (message, ServerSignature(Signature::Sha256(Box::new(signature))))
            }
            Hash::Sha512 => {
                let (message, signature) = self.sign::<Sha512>(server_first, &challenge)?;
                (message, ServerSignature(Signature::Sha512(Box::new(signature))))
            }
        })
    }

    fn sign<D: EagerHash + Digest>(
        &self,
        server_first: &str,
        challenge: &Challenge<'_>,
    ) -> Result<(String, Hmac<D>), ScramError> {
        let mut salted = vec![0; <D as Digest>::output_size()];
        let (password, iterations) = (self.password.as_bytes(), challenge.iterations);
        pbkdf2::pbkdf2_hmac::<D>(password, &challenge.salt, iterations, &mut salted);
        let without_proof = format!("c=biws,r={}", challenge.nonce);
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        let client_key = hmac::<D>(&salted, b"Client Key")?.finalize().into_bytes();
        let stored_key = D::digest(&client_key);
        let client_signature = hmac::<D>(&stored_key, signed.as_bytes())?.finalize().into_bytes();
        let proof: Vec<u8> =
            client_key.iter().zip(&client_signature).map(|(key, sign)| key ^ sign).collect();
        let server_key = hmac::<D>(&salted, b"Server Key")?.finalize().into_bytes();
        let server_signature = hmac::<D>(&server_key, signed.as_bytes())?;
        Ok((format!("{without_proof},p={}", BASE64.encode(proof)), server_signature))
    }
}

impl fmt::Debug for ClientFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientFirst { hidden }")
    }
}

/// What a server must send to prove that it knows the password.
pub struct ServerSignature(Signature);

enum Signature {
    Sha1(Box<Hmac<Sha1>>),
    Sha256(Box<Hmac<Sha256>>),
    Sha512(Box<Hmac<Sha512>>),
}

impl ServerSignature {
    /// Checks the last message of the server.
    ///
    /// # Errors
    /// [`ScramError::Malformed`], [`ScramError::Signature`].
    pub fn verify(&self, server_final: &str) -> Result<(), ScramError> {
        let got = attribute(server_final, "v=").and_then(|text| BASE64.decode(text).ok());
        let got = got.ok_or(ScramError::Malformed)?;
        let checked = match &self.0 {
            Signature::Sha1(hmac) => hmac.as_ref().clone().verify_slice(&got),
            Signature::Sha256(hmac) => hmac.as_ref().clone().verify_slice(&got),
            Signature::Sha512(hmac) => hmac.as_ref().clone().verify_slice(&got),
        };
        checked.map_err(|_| ScramError::Signature)
    }
}

impl fmt::Debug for ServerSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSignature { hidden }")
    }
}

/// The first message of a server.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> Challenge<'a> {
    fn read(server_first: &'a str, own_nonce: &str) -> Result<Self, ScramError> {
        let nonce = attribute(server_first, "r=").ok_or(ScramError::Malformed)?;
        let salt = attribute(server_first, "s=").and_then(|salt| BASE64.decode(salt).ok());
        let salt = salt.ok_or(ScramError::Malformed)?;
        let iterations = attribute(server_first, "i=").and_then(|count| count.parse().ok());
        let iterations: u32 = iterations.ok_or(ScramError::Malformed)?;
        if !nonce.starts_with(own_nonce) || nonce.len() == own_nonce.len() {
            return Err(ScramError::Nonce);
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Iterations { iterations });
        }
        Ok(Self { nonce, salt, iterations })
    }
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}

fn hmac<D: EagerHash>(key: &[u8], text: &[u8]) -> Result<Hmac<D>, ScramError> {
    // HMAC takes keys of every length; the error exists for other codes.
    let mut hmac = Hmac::<D>::new_from_slice(key).map_err(|_| ScramError::Malformed)?;
    hmac.update(text);
    Ok(hmac)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A conversation whose messages are known.
    pub(crate) struct Known {
        pub(crate) hash: Hash,
        pub(crate) nonce: &'static str,
        pub(crate) server_first: &'static str,
        pub(crate) client_final: &'static str,
        pub(crate) server_final: &'static str,
    }

    /// RFC 5802, section 5.
    pub(crate) const SHA_1: Known = Known {
        hash: Hash::Sha1,
        nonce: "fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                       p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    };

    /// RFC 7677, section 3.
    pub(crate) const SHA_256: Known = Known {
        hash: Hash::Sha256,
        nonce: "rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    };

    /// The same with the other hash, computed with the `ScramFormatter` of Kafka 4.1.0.
    pub(crate) const SHA_512: Known = Known {
        hash: Hash::Sha512,
        nonce: "rOprNGfwEbeRWgbNEkqO",
        server_first: SHA_256.server_first,
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN\
                       8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        server_final: "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSe\
                       VGT4+5ZxXnJq199RVG2rR7N7Zw==",
    };

    impl ServerSignature {
        /// The message of a server that knows the password.
        pub(crate) fn message(&self) -> String {
            let bytes = match &self.0 {
                Signature::Sha1(hmac) => hmac.as_ref().clone().finalize().into_bytes().to_vec(),
                Signature::Sha256(hmac) => hmac.as_ref().clone().finalize().into_bytes().to_vec(),
                Signature::Sha512(hmac) => hmac.as_ref().clone().finalize().into_bytes().to_vec(),
            };
            format!("v={}", BASE64.encode(bytes))
        }
    }

    impl Known {
        pub(crate) fn begin(&self) -> ClientFirst {
            ClientFirst::new(self.hash, "user", "pencil".to_owned(), self.nonce.to_owned())
        }
    }

    #[test]
    fn known_conversations_are_spoken() {
        for known in [SHA_1, SHA_256, SHA_512] {
            let first = known.begin();
            assert_eq!(first.message(), format!("n,,n=user,r={}", known.nonce));
            let (message, signature) = first.prove(known.server_first).unwrap();
            assert_eq!(message, known.client_final);
            assert_eq!(signature.verify(known.server_final), Ok(()));
        }
    }

    #[test]
    fn a_server_that_does_not_prove_itself_is_refused() {
        for known in [SHA_1, SHA_256, SHA_512] {
            let (_, signature) = known.begin().prove(known.server_first).unwrap();
            let forged = known.server_final.replacen(['6', 'w', '9'], "7", 1);
            assert_eq!(signature.verify(&forged), Err(ScramError::Signature));
            assert_eq!(signature.verify("v="), Err(ScramError::Signature));
            assert_eq!(signature.verify("v=!"), Err(ScramError::Malformed));
            assert_eq!(signature.verify("e=other-error"), Err(ScramError::Malformed));
            for cut in 0..known.server_final.len() {
                assert!(signature.verify(&known.server_final[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn bad_server_messages_are_refused() {
        let good = SHA_256.server_first;
        for (message, want) in [
            (good.replace("r=r", "r=s"), ScramError::Nonce),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096".to_owned(), ScramError::Nonce),
            (good.replace("4096", "4095"), ScramError::Iterations { iterations: 4095 }),
            (
                good.replace("4096", "4000000000"),
                ScramError::Iterations { iterations: 4_000_000_000 },
            ),
            (good.replace("4096", "x"), ScramError::Malformed),
            (good.replace("4096", "99999999999"), ScramError::Malformed),
            (good.replace("s=W", "s=!"), ScramError::Malformed),
            (String::new(), ScramError::Malformed),
        ] {
            assert_eq!(SHA_256.begin().prove(&message).err(), Some(want), "{message}");
        }
        for cut in 0..good.len() {
            assert!(SHA_256.begin().prove(&good[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn names_are_escaped_and_secrets_are_not_shown() {
        let first =
            ClientFirst::new(Hash::Sha256, "a=b,c", "pencil".to_owned(), "nonce".to_owned());
        assert_eq!(first.message(), "n,,n=a=3Db=2Cc,r=nonce");
        assert!(!format!("{first:?}").contains("pencil"));
    }
}
