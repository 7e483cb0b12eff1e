//! The key that workers of a group sign their requests to each other with.
//!
//! The leader makes one and writes it into the config topic (`session-key`); whoever can read that topic belongs to the
//! group. It is made anew each `inter.worker.key.ttl.ms`. Any algorithm of [`MacAlgorithm`] works with any key: as in
//! Java, the one that a key names only says how it was made.

use std::fmt;

use rand::Rng as _;
use ring::hmac;
use thiserror::Error;

/// The algorithms that sign, by their names in Java.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacAlgorithm {
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

impl MacAlgorithm {
    const ALL: [Self; 4] = [Self::HmacSha1, Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// Reads a name, in any case, as Java does.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// `HmacSHA256`
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HmacSHA1",
            Self::HmacSha256 => "HmacSHA256",
            Self::HmacSha384 => "HmacSHA384",
            Self::HmacSha512 => "HmacSHA512",
        }
    }

    /// The names of all, for an error.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    pub(super) fn with_key(self, key: &SessionKey) -> hmac::Key {
        let algorithm = match self {
            Self::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, &key.bytes)
    }

    /// How long Java makes a key where nothing else is said.
    fn key_bytes(self) -> usize {
        match self {
            Self::HmacSha1 | Self::HmacSha512 => 64,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
        }
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionKey {
    bytes: Vec<u8>,
    algorithm: String,
    created_ms: i64,
}

impl SessionKey {
    /// A key that somebody made; `None`: without a byte it is none.
    pub(crate) fn new(bytes: Vec<u8>, algorithm: String, created_ms: i64) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self { bytes, algorithm, created_ms })
    }

    /// When it was made, in milliseconds since 1970.
    pub(crate) fn created_ms(&self) -> i64 {
        self.created_ms
    }

    /// How it was made, in words that only Java needs to know.
    pub(super) fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The secret itself. Never pass it to a log or an error.
    pub(super) fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey {{ created_ms: {}, [hidden] }}", self.created_ms)
    }
}

/// Shorter keys are no keys; the bound is Java's.
const KEY_BITS_MIN: u32 = 40;
/// A longer key is hashed down by HMAC: nobody wants one, and somebody may have meant bytes.
const KEY_BITS_MAX: u32 = 65_536;

/// How keys are made: `inter.worker.key.generation.algorithm` and `inter.worker.key.size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyGenerator {
    algorithm: MacAlgorithm,
    bytes: usize,
}

/// Why keys cannot be made so.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum KeyGeneratorError {
    #[error(
        "Unable to create key generator with algorithm {name}: it is not known; write one of {}",
        MacAlgorithm::names()
    )]
    Algorithm { name: String },
    #[error(
        "Unable to create key generator with algorithm {} and key size {bits}: Key length must be at least \
         {} bits, and {} at most",
        .algorithm.name(), KEY_BITS_MIN, KEY_BITS_MAX
    )]
    Size { algorithm: MacAlgorithm, bits: u32 },
}

impl KeyGenerator {
    /// Makes keys for the algorithm of this name, of this size or of the algorithm's own.
    pub(crate) fn new(name: &str, bits: Option<u32>) -> Result<Self, KeyGeneratorError> {
        let unknown = || KeyGeneratorError::Algorithm { name: name.to_owned() };
        let algorithm = MacAlgorithm::parse(name).ok_or_else(unknown)?;
        let bytes = match bits {
            None => algorithm.key_bytes(),
            Some(bits @ KEY_BITS_MIN..=KEY_BITS_MAX) => bits.div_ceil(8) as usize,
            Some(bits) => return Err(KeyGeneratorError::Size { algorithm, bits }),
        };
        Ok(Self { algorithm, bytes })
    }

    /// Whether a key is such as this makes: another worker may have others.
    pub(crate) fn makes(&self, key: &SessionKey) -> bool {
        key.algorithm == self.algorithm.name() && key.bytes.len() == self.bytes
    }

    /// A new key.
    pub(crate) fn generate(&self, now_ms: i64) -> SessionKey {
        let mut bytes = vec![0; self.bytes];
        rand::rng().fill_bytes(&mut bytes);
        SessionKey { bytes, algorithm: self.algorithm.name().to_owned(), created_ms: now_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_only_known_ones() {
        for algorithm in MacAlgorithm::ALL {
            let lower = algorithm.name().to_ascii_lowercase();
            assert_eq!(MacAlgorithm::parse(&lower), Some(algorithm));
        }
        assert_eq!(MacAlgorithm::parse("HmacMD5"), None);
        assert_eq!(MacAlgorithm::names(), "HmacSHA1, HmacSHA256, HmacSHA384, HmacSHA512");
    }

    /// Sizes as `javax.crypto.KeyGenerator` of Java 17 makes them.
    #[test]
    fn keys_are_as_long_as_java_makes_them() {
        let made = |name, bits| KeyGenerator::new(name, bits).unwrap().generate(7);
        for (name, bits, bytes) in [
            ("HmacSHA1", None, 64),
            ("HmacSHA256", None, 32),
            ("HmacSHA384", None, 48),
            ("HmacSHA512", None, 64),
            ("HmacSHA256", Some(40), 5),
            ("HmacSHA256", Some(41), 6),
            ("HmacSHA512", Some(2048), 256),
        ] {
            let key = made(name, bits);
            assert_eq!(key.expose().len(), bytes, "{name}");
            assert_eq!((key.algorithm(), key.created_ms()), (name, 7));
        }
        assert_ne!(made("HmacSHA256", None), made("HmacSHA256", None));
    }

    #[test]
    fn generator_that_cannot_be_is_refused_by_what_is_wrong() {
        let text = |name, bits| KeyGenerator::new(name, bits).unwrap_err().to_string();
        assert!(
            text("AES", None).contains("algorithm AES: it is not known; write one of HmacSHA1")
        );
        assert!(
            text("HmacSHA256", Some(39)).contains("key size 39: Key length must be at least 40")
        );
        assert!(text("HmacSHA256", Some(1 << 20)).contains("65536 at most"));
    }

    #[test]
    fn key_is_never_printed_and_never_empty() {
        let key = SessionKey::new(b"hunter2".to_vec(), "HmacSHA256".to_owned(), 1).unwrap();
        assert_eq!(format!("{key:?}"), "SessionKey { created_ms: 1, [hidden] }");
        assert_eq!(SessionKey::new(Vec::new(), "HmacSHA256".to_owned(), 1), None);
    }
}
