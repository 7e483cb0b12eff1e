//! ApiVersions v3: which versions of which requests a broker speaks.
//!
//! ```text
//! request    client software name │ its version │ tags
//! answer     error i16 │ [key i16, min i16, max i16, tags] │ throttle i32 │ tags
//! ```
//!
//! A broker that does not speak v3 answers with v0: the error UNSUPPORTED_VERSION and an array with
//! another length field. Only the error of that is read.

use crate::kafka::api::Api;
use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{Reader, WireError, put_compact_string, put_no_tags};

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>) {
    put_compact_string(out, "millrace");
    put_compact_string(out, env!("CARGO_PKG_VERSION"));
    put_no_tags(out);
}

/// What a broker lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The kind of request.
    pub api: Api,
    /// The versions that the broker has of it, if any.
    pub offered: Option<(i16, i16)>,
}

/// Reads an answer: the first of our requests that the broker does not speak in our version, if
/// there is one. Only the kinds that the asker `speaks` count.
pub fn read_answer(
    reader: &mut Reader<'_>,
    speaks: impl Fn(Api) -> bool,
) -> Result<Result<Option<Unsupported>, ErrorCode>, WireError> {
    let error = ErrorCode(reader.i16()?);
    if !error.is_none() {
        return Ok(Err(error));
    }
    let mut offered = [None; Api::ALL.len()];
    for _ in 0..reader.compact_array()? {
        let key = reader.i16()?;
        let range = (reader.i16()?, reader.i16()?);
        reader.skip_tags()?;
        for (api, place) in Api::ALL.iter().zip(&mut offered) {
            if api.key() == key {
                *place = Some(range);
            }
        }
    }
    let _throttle_ms = reader.i32()?;
    reader.skip_tags()?;
    let unsupported = Api::ALL.into_iter().zip(offered).find(|(api, offered)| {
        speaks(*api) && offered.is_none_or(|(min, max)| api.version() < min || max < api.version())
    });
    Ok(Ok(unsupported.map(|(api, offered)| Unsupported { api, offered })))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::{put_compact_length, put_i16, put_i32, put_unsigned_varint};

    fn answer(ranges: &[(i16, i16, i16)]) -> Vec<u8> {
        let mut out = Vec::new();
        put_i16(&mut out, 0);
        put_compact_length(&mut out, ranges.len());
        for (key, min, max) in ranges {
            put_i16(&mut out, *key);
            put_i16(&mut out, *min);
            put_i16(&mut out, *max);
            put_no_tags(&mut out);
        }
        put_i32(&mut out, 0);
        // A tagged field, as brokers send: finalized features epoch.
        put_unsigned_varint(&mut out, 1);
        put_unsigned_varint(&mut out, 1);
        put_unsigned_varint(&mut out, 8);
        out.extend_from_slice(&[0; 8]);
        out
    }

    /// The answer of Kafka 4.1.0.
    pub(crate) fn kafka_4_1() -> Vec<u8> {
        answer(&KAFKA_4_1)
    }

    /// The ranges of Kafka 4.1.0.
    const KAFKA_4_1: [(i16, i16, i16); 16] = [
        (0, 3, 13),
        (1, 4, 17),
        (2, 1, 10),
        (3, 0, 13),
        (10, 0, 6),
        (11, 0, 9),
        (12, 0, 4),
        (13, 0, 5),
        (14, 0, 5),
        (17, 0, 1),
        (18, 0, 4),
        (19, 2, 7),
        (22, 0, 5),
        (32, 1, 4),
        (36, 0, 2),
        (777, 0, 0),
    ];

    /// The ranges of Kafka 2.8.0.
    const KAFKA_2_8: [(i16, i16, i16); 15] = [
        (0, 0, 9),
        (1, 0, 12),
        (2, 0, 6),
        (3, 0, 11),
        (10, 0, 3),
        (11, 0, 7),
        (12, 0, 4),
        (13, 0, 4),
        (14, 0, 5),
        (17, 0, 1),
        (18, 0, 3),
        (19, 0, 7),
        (22, 0, 4),
        (32, 0, 4),
        (36, 0, 2),
    ];

    #[test]
    fn brokers_from_2_8_to_4_1_are_spoken_to() {
        for ranges in [&KAFKA_4_1[..], &KAFKA_2_8[..]] {
            let read = |reader: &mut Reader<'_>| read_answer(reader, |_| true);
            assert_eq!(cut::at_every_byte(&answer(ranges), read), Ok(None));
        }
    }

    #[test]
    fn the_request_that_a_broker_lacks_is_named() {
        let mut ranges = KAFKA_2_8;
        ranges[3] = (3, 0, 8);
        assert_eq!(
            read_answer(&mut Reader::new(&answer(&ranges)), |api| !api.is_sasl()).unwrap(),
            Ok(Some(Unsupported { api: Api::Metadata, offered: Some((0, 8)) }))
        );
        assert_eq!(
            read_answer(&mut Reader::new(&answer(&ranges[1..])), |_| true).unwrap(),
            Ok(Some(Unsupported { api: Api::Produce, offered: None }))
        );
    }

    #[test]
    fn a_broker_without_sasl_will_do_where_none_is_wanted() {
        let ranges: Vec<_> = KAFKA_2_8.into_iter().filter(|(key, ..)| *key != 36).collect();
        let answer = answer(&ranges);
        let without = read_answer(&mut Reader::new(&answer), |api| !api.is_sasl());
        assert_eq!(without.unwrap(), Ok(None));
        let lacking = Unsupported { api: Api::SaslAuthenticate, offered: None };
        let with = read_answer(&mut Reader::new(&answer), |_| true);
        assert_eq!(with.unwrap(), Ok(Some(lacking)));
    }

    #[test]
    fn a_broker_that_refuses_the_version_is_understood_by_its_error() {
        let v0 = [0, 35, 0, 0, 0, 0];
        assert_eq!(
            read_answer(&mut Reader::new(&v0), |_| true).unwrap(),
            Err(ErrorCode::UNSUPPORTED_VERSION)
        );
    }
}
