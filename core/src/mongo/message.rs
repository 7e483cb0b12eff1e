//! Frames messages: an OP_MSG is the only kind we send or take.
//!
//! ```text
//! byte 0        4            8             12       16      20    21                    length-4
//!      length   request id   response to   2013     flags   0     one BSON document  …  [checksum]
//!      i32      i32          i32           i32      u32     u8                    u32, if flag 0
//! ```
//!
//! Flags: 0 checksum present, 1 more to come (the next reply follows unasked), 16 exhaust allowed.
//! An unknown flag below 16 must be refused, above it is ignored. We send no checksum and do not
//! verify one: TCP or TLS has done it. Facts: OP_MSG specification of the MongoDB drivers.

use std::fmt;

use bytes::Bytes;

use super::bson_write::{DocWriter, write_document};

/// Bytes before the document.
pub const PREFIX_BYTES: usize = 21;
/// Largest message that is taken; servers announce this very number as `maxMessageSizeBytes`.
pub const MESSAGE_BYTES_MAX: usize = 48_000_000;

const OP_MSG: i32 = 2013;
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
const EXHAUST_ALLOWED: u32 = 1 << 16;
const REQUIRED_FLAGS: u32 = 0xffff;
const CHECKSUM_BYTES: usize = 4;
const PREFIX_AND_EMPTY_DOC_BYTES: usize = PREFIX_BYTES + 5;

/// What stands before the document of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The whole message, this header and the checksum included. Bytes.
    pub message_bytes: usize,
    /// The sender's number of this message.
    pub request_id: i32,
    /// The number of the message that this answers.
    pub response_to: i32,
    /// The next reply follows without being asked for, and answers this one.
    pub more_to_come: bool,
    /// Four bytes follow the document.
    pub checksum_present: bool,
}

impl Header {
    /// Where the document ends. Bytes from the start of the message.
    pub fn document_end(&self) -> usize {
        self.message_bytes - if self.checksum_present { CHECKSUM_BYTES } else { 0 }
    }
}

/// Why bytes are no message that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The length is out of range.
    Length {
        /// As declared.
        declared: i32,
    },
    /// Another operation than OP_MSG.
    Opcode {
        /// As declared.
        opcode: i32,
    },
    /// A flag that must be understood and is not.
    Flags {
        /// All flags.
        flags: u32,
    },
    /// A section that is not the one document of kind 0.
    Section {
        /// As declared.
        kind: u8,
    },
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { declared } => write!(f, "a message declares {declared} bytes"),
            Self::Opcode { opcode } => write!(f, "a message has operation {opcode}, not OP_MSG"),
            Self::Flags { flags } => write!(f, "a message has unknown flags {flags:#x}"),
            Self::Section { kind } => write!(f, "a message has a section of kind {kind}"),
        }
    }
}

impl std::error::Error for MessageError {}

/// Reads the header at the front of `bytes`; `Ok(None)` while fewer than [`PREFIX_BYTES`] are
/// there. The length is checked as soon as it is there, so that a peer that speaks another protocol
/// is found out at once.
///
/// # Errors
/// See [`MessageError`].
pub fn decode_header(bytes: &[u8]) -> Result<Option<Header>, MessageError> {
    let mut fields = bytes.as_chunks::<4>().0.iter().map(|field| i32::from_le_bytes(*field));
    let Some(declared) = fields.next() else { return Ok(None) };
    let message_bytes = usize::try_from(declared).unwrap_or(0);
    if !(PREFIX_AND_EMPTY_DOC_BYTES..=MESSAGE_BYTES_MAX).contains(&message_bytes) {
        return Err(MessageError::Length { declared });
    }
    let (Some(request_id), Some(response_to), Some(opcode), Some(flags), Some(&kind)) =
        (fields.next(), fields.next(), fields.next(), fields.next(), bytes.get(PREFIX_BYTES - 1))
    else {
        return Ok(None);
    };
    if opcode != OP_MSG {
        return Err(MessageError::Opcode { opcode });
    }
    let flags = flags.cast_unsigned();
    if flags & REQUIRED_FLAGS & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
        return Err(MessageError::Flags { flags });
    }
    if kind != 0 {
        return Err(MessageError::Section { kind });
    }
    let checksum_present = flags & CHECKSUM_PRESENT != 0;
    if checksum_present && message_bytes < PREFIX_AND_EMPTY_DOC_BYTES + CHECKSUM_BYTES {
        return Err(MessageError::Length { declared });
    }
    let more_to_come = flags & MORE_TO_COME != 0;
    Ok(Some(Header { message_bytes, request_id, response_to, more_to_come, checksum_present }))
}

/// Encodes a command. `exhaust_allowed` lets the server go on replying without being asked again.
pub fn encode_command(
    request_id: i32,
    exhaust_allowed: bool,
    fill: impl FnOnce(&mut DocWriter<'_>),
) -> Bytes {
    let flags = if exhaust_allowed { EXHAUST_ALLOWED } else { 0 };
    let mut out = Vec::with_capacity(512);
    for field in [0, request_id, 0, OP_MSG, flags.cast_signed()] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.push(0);
    write_document(&mut out, fill);
    let message_bytes = u32::try_from(out.len()).unwrap_or(u32::MAX);
    if let Some(length) = out.first_chunk_mut() {
        *length = message_bytes.to_le_bytes();
    }
    Bytes::from(out)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a server sends, with its document made by an independent encoder.
    pub(crate) fn encode_reply(
        request_id: i32,
        response_to: i32,
        more_to_come: bool,
        body: &bson::Document,
    ) -> Vec<u8> {
        let body = body.to_vec().expect("valid document");
        let flags = if more_to_come { MORE_TO_COME } else { 0 };
        let length = i32::try_from(PREFIX_BYTES + body.len()).expect("small");
        let fields = [length, request_id, response_to, OP_MSG, flags.cast_signed()];
        let mut message: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        message.push(0);
        message.extend_from_slice(&body);
        message
    }

    #[test]
    fn a_command_is_framed_as_the_specification_says() {
        let message = encode_command(7, true, |doc| doc.int32("ping", 1));
        let want =
            b"\x24\0\0\0\x07\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\x01\0\0\x0f\0\0\0\x10ping\0\x01\0\0\0\0";
        assert_eq!(message.as_ref(), want);
    }

    #[test]
    fn a_header_cut_at_any_byte_waits_and_then_is_the_same() {
        let message = encode_reply(3, 9, true, &bson::doc! { "ok": 1.0 });
        for cut in 0..=message.len() {
            let header = decode_header(&message[..cut]).unwrap();
            assert_eq!(header.is_some(), PREFIX_BYTES <= cut, "cut {cut}");
            if let Some(header) = header {
                assert_eq!(header.message_bytes, message.len());
                assert_eq!((header.request_id, header.response_to), (3, 9));
                assert!(header.more_to_come && !header.checksum_present);
            }
        }
    }

    #[test]
    fn a_foreign_protocol_is_refused_by_its_first_four_bytes() {
        for bytes in [b"HTTP", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x19\0\0\0"] {
            assert!(matches!(decode_header(bytes), Err(MessageError::Length { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = encode_reply(3, 9, false, &bson::doc! { "ok": 1.0 });
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            decode_header(&bytes)
        };
        assert_eq!(with(12, 1), Err(MessageError::Opcode { opcode: 0x701 }));
        assert_eq!(with(16, 4), Err(MessageError::Flags { flags: 4 }));
        assert_eq!(with(20, 1), Err(MessageError::Section { kind: 1 }));
        assert!(with(16, 1).unwrap().unwrap().checksum_present);
        assert!(with(18, 255).unwrap().is_some(), "upper flags are optional");
    }
}
