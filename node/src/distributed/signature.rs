//! Requests between workers are signed: nobody else may hand tasks to a leader, or have producers fenced.
//!
//! ```text
//! X-Connect-Authorization: base64(HMAC(session key, body))
//! X-Connect-Request-Signature-Algorithm: HmacSHA256
//! ```
//!
//! A request without a body is signed as one with an empty body. Only `POST /connectors/{c}/tasks` and
//! `PUT /connectors/{c}/fence` are signed, and only in groups that speak the protocol `sessioned`.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::hmac;
use thiserror::Error;

use super::session_key::{MacAlgorithm, SessionKey};

const SIGNATURE: HeaderName = HeaderName::from_static("x-connect-authorization");
const ALGORITHM: HeaderName = HeaderName::from_static("x-connect-request-signature-algorithm");

/// What Java's decoder takes: padding may be missing, bits left over are not looked at.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The headers that sign `body`.
pub(crate) fn sign(
    key: &SessionKey,
    algorithm: MacAlgorithm,
    body: &[u8],
) -> [(HeaderName, HeaderValue); 2] {
    let tag = hmac::sign(&algorithm.with_key(key), body);
    // Base64 is text that a header can hold.
    let signature =
        HeaderValue::try_from(STANDARD.encode(tag)).unwrap_or(HeaderValue::from_static(""));
    [(SIGNATURE, signature), (ALGORITHM, HeaderValue::from_static(algorithm.name()))]
}

/// Why a request between workers is not answered, in Connect's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SignatureError {
    #[error("Internal request missing required signature")]
    Missing,
    #[error("Algorithm {name} not available")]
    Unknown { name: String },
    #[error("the header X-Connect-Authorization is no Base64: {0}")]
    Encoding(base64::DecodeError),
    #[error(
        "This worker does not support the '{name}' key signing algorithm used by other workers. This worker is \
         currently configured to use: [{}]. Check that all workers' configuration files permit the same set of \
         signature algorithms, and correct any misconfigured worker and restart it.",
        .permitted.join(", ")
    )]
    NotPermitted { name: String, permitted: Vec<String> },
    #[error(
        "This worker is still starting up and has not been able to read a session key from the config topic yet"
    )]
    NoKey,
    #[error("Internal request contained invalid signature.")]
    Invalid,
}

/// Fails unless `body` is signed with `key`. `permitted` are the names in `inter.worker.verification.algorithms`.
pub(crate) fn verify(
    headers: &HeaderMap,
    body: &[u8],
    permitted: &[String],
    key: Option<&SessionKey>,
) -> Result<(), SignatureError> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(signature), Some(name)) = (header(SIGNATURE), header(ALGORITHM)) else {
        return Err(SignatureError::Missing);
    };
    let unknown = || SignatureError::Unknown { name: name.to_owned() };
    let algorithm = MacAlgorithm::parse(name).ok_or_else(unknown)?;
    let signature = BASE64.decode(signature).map_err(SignatureError::Encoding)?;
    // By letter, case included: so does Java.
    if !permitted.iter().any(|permitted| permitted == name) {
        let permitted = permitted.to_vec();
        return Err(SignatureError::NotPermitted { name: name.to_owned(), permitted });
    }
    let key = key.ok_or(SignatureError::NoKey)?;
    hmac::verify(&algorithm.with_key(key), body, &signature).map_err(|_| SignatureError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"[{"task.class":"t","name":"orders"}]"#;
    /// As `javax.crypto.Mac` of Java 17 signs nothing, and [`BODY`].
    const SIGNED_BY_JAVA: [(&str, &str, &str); 4] = [
        ("HmacSHA1", "iiJwjPDd5wsOderZV15lnc5qhbI=", "BTizBiUUM8gai3q7BuqwDX3pUWM="),
        (
            "HmacSHA256",
            "eWzTB4rxRjZ1PSaztVVUIv9Vo+Jhz4R7SOlTcbm9CqI=",
            "bB7GNCEL/mpa9O/NyANcaJnVqwUrU6iyoy+14ik8k54=",
        ),
        (
            "HmacSHA384",
            "65sAAgfKRKxQdsv2LOpaIBpc40DKuBrcRhv5sZtDY7skxUVNd4Y6gGjbvHLRrylL",
            "VQ2g1V/Fy+gRPhZA8Q8G8UFsFMnKhibD/2OMhyddUfAgVLCyv9HtnRebP0Q59eed",
        ),
        (
            "HmacSHA512",
            "0dt548fZKkLG/iOR5WUnGNj9Mv7rybhS3ybMdG+mKwHBG6uDRLVItR8zb4ODEr9NTRT+VbRcZ1Kq/fHw6sjDQg==",
            "zcPvvPIt0K4PQfcB1UPBn0g2GHpcChs9sK7ZrIj4FWGOeFGr/0jgknsZbrAw+TTW6s8cVEavfxRjhiCI8nSmBA==",
        ),
    ];

    fn key() -> SessionKey {
        let bytes = b"0123456789abcdef0123456789abcdef".to_vec();
        SessionKey::new(bytes, "HmacSHA256".to_owned(), 0).unwrap()
    }

    fn headers(signature: &str, algorithm: &str) -> HeaderMap {
        let pairs = [(SIGNATURE, signature), (ALGORITHM, algorithm)];
        pairs.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect()
    }

    fn permitted(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn signatures_are_those_of_java() {
        for (name, of_nothing, of_body) in SIGNED_BY_JAVA {
            let algorithm = MacAlgorithm::parse(name).unwrap();
            for (body, expected) in [("", of_nothing), (BODY, of_body)] {
                let signed = HeaderMap::from_iter(sign(&key(), algorithm, body.as_bytes()));
                assert_eq!(signed, headers(expected, name));
                let verified = verify(&signed, body.as_bytes(), &permitted(&[name]), Some(&key()));
                assert_eq!(verified, Ok(()));
            }
        }
    }

    #[test]
    fn signature_of_another_body_or_key_is_refused() {
        let signed = HeaderMap::from_iter(sign(&key(), MacAlgorithm::HmacSha256, BODY.as_bytes()));
        let permitted = permitted(&["HmacSHA256"]);
        let other = SessionKey::new(vec![1], "HmacSHA256".to_owned(), 0).unwrap();
        assert_eq!(verify(&signed, b"[]", &permitted, Some(&key())), Err(SignatureError::Invalid));
        assert_eq!(
            verify(&signed, BODY.as_bytes(), &permitted, Some(&other)),
            Err(SignatureError::Invalid)
        );
        let cut = headers("bB7GNA==", "HmacSHA256");
        assert_eq!(
            verify(&cut, BODY.as_bytes(), &permitted, Some(&key())),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn request_without_a_usable_signature_is_refused_as_java_refuses_it() {
        let permitted = permitted(&["HmacSHA256", "HmacSHA512"]);
        let refused = |headers: &HeaderMap, key: Option<&SessionKey>| {
            verify(headers, b"", &permitted, key).unwrap_err()
        };
        let key = key();
        for name in [SIGNATURE, ALGORITHM] {
            let mut headers = headers("", "HmacSHA256");
            headers.remove(name);
            assert_eq!(refused(&headers, Some(&key)), SignatureError::Missing);
        }
        let unknown = refused(&headers("", "FOO"), Some(&key));
        assert_eq!(unknown, SignatureError::Unknown { name: "FOO".to_owned() });
        let encoding = refused(&headers("a-b=", "HmacSHA256"), Some(&key));
        assert!(matches!(encoding, SignatureError::Encoding(_)), "{encoding}");
        for name in ["HmacSHA1", "hmacsha256"] {
            let error = refused(&headers("", name), Some(&key));
            assert!(matches!(error, SignatureError::NotPermitted { .. }), "{error}");
            let text = error.to_string();
            let begin = format!("This worker does not support the '{name}' key signing algorithm");
            assert!(text.starts_with(&begin), "{text}");
            assert!(text.contains("configured to use: [HmacSHA256, HmacSHA512]. Check"), "{text}");
        }
        assert_eq!(refused(&headers("", "HmacSHA256"), None), SignatureError::NoKey);
    }

    #[test]
    fn base64_is_taken_as_java_takes_it() {
        for (text, bytes) in [("ab", 1), ("abc", 2), ("abcd", 3), ("ab==", 1), ("AB==", 1), ("", 0)]
        {
            assert_eq!(BASE64.decode(text).unwrap().len(), bytes, "{text}");
        }
        for text in ["a", "a-b=", "abcd=", "ab=c", "YQ==YQ==", "a=", "====", "abcde"] {
            assert!(BASE64.decode(text).is_err(), "{text}");
        }
    }
}
