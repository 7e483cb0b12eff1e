//! What is left to copy: the pieces, from the whole scope down to a range of one collection.
//!
//! ```text
//!  Databases ──► Collections ──► Unmeasured ──┬─► Whole              read in the order of the disk
//!   all of them   of a database   a collection └─► Range, Range, …   read in the order of _id
//! ```
//!
//! Each piece, when it is its turn, is copied or taken apart into smaller ones. So the pieces that are left are at
//! every moment the position of the copy, from the first moment on, and that is what is stored:
//!
//! ```text
//!  { _id: X, copyingData: true, stream: token, left: [ { db, coll, from: { _id }, to: { _id } }, … ] }
//!    last document copied       where the stream goes on behind the copy
//! ```
//!
//! A range begins with `from` and ends before `to`; what was copied of it moves `from`. The document at `from` may be
//! copied again after a restart, nothing is left out.

use std::fmt;

use crate::mongo::bson::{BsonError, RawDoc, RawValue};
use crate::mongo::bson_write::DocWriter;

/// A collection and its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// The database.
    pub database: String,
    /// The collection.
    pub collection: String,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Every database of the deployment.
    Databases,
    /// Every collection of a database, or the one of the scope if that is one and has to pass the regex.
    Collections { database: String },
    /// A collection of which it is not known how large it is.
    Unmeasured(Namespace),
    /// A collection, read by one cursor. Begins again after an interruption.
    Whole(Namespace),
    /// A part of a collection. Bounds are documents `{_id: …}`.
    Range { namespace: Namespace, from: Option<Vec<u8>>, to: Option<Vec<u8>> },
}

/// How far a copy is, as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPosition {
    /// The resume token at which the stream goes on when all is copied.
    pub(super) stream: Vec<u8>,
    pub(super) left: Vec<Piece>,
}

/// Why a stored document is no position of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPositionError {
    /// It is not even BSON.
    Bson(BsonError),
    /// A part is missing or has another type than was written.
    Form,
}

impl From<BsonError> for CopyPositionError {
    fn from(error: BsonError) -> Self {
        Self::Bson(error)
    }
}

impl fmt::Display for CopyPositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored position of a copy cannot be read: ")?;
        match self {
            Self::Bson(error) => error.fmt(f),
            Self::Form => f.write_str("a part of it is missing or of another type"),
        }
    }
}

impl std::error::Error for CopyPositionError {}

impl CopyPosition {
    /// Reads what [`write_position`] wrote.
    ///
    /// # Errors
    /// [`CopyPositionError`].
    pub fn read(bytes: &[u8]) -> Result<Self, CopyPositionError> {
        let (mut stream, mut left) = (None, None);
        for element in RawDoc::new(bytes)? {
            let element = element?;
            match (element.name, element.value) {
                (b"stream", RawValue::Document(token)) => stream = Some(token.as_bytes().to_vec()),
                (b"left", RawValue::Array(pieces)) => {
                    let pieces = pieces.iter().map(|piece| {
                        let RawValue::Document(piece) = piece?.value else {
                            return Err(CopyPositionError::Form);
                        };
                        Piece::read(piece)
                    });
                    left = Some(pieces.collect::<Result<_, _>>()?);
                }
                _ => {}
            }
        }
        let (Some(stream), Some(left)) = (stream, left) else {
            return Err(CopyPositionError::Form);
        };
        Ok(Self { stream, left })
    }
}

/// Writes a position. `id` is the element `_id` of a document that was copied, or empty.
pub(super) fn write_position<'a>(
    id: &[u8],
    stream: &[u8],
    left: impl Iterator<Item = &'a Piece>,
    out: &mut DocWriter<'_>,
) {
    out.raw_elements(id);
    out.boolean("copyingData", true);
    out.raw_document("stream", stream);
    out.array("left", |pieces| {
        for piece in left {
            // The names of an array's items are read by nobody.
            pieces.document("", |out| piece.write(out));
        }
    });
}

impl Piece {
    /// The collection that is read.
    pub(super) fn namespace(&self) -> Option<&Namespace> {
        match self {
            Self::Databases | Self::Collections { .. } => None,
            Self::Unmeasured(namespace)
            | Self::Whole(namespace)
            | Self::Range { namespace, .. } => Some(namespace),
        }
    }

    fn write(&self, out: &mut DocWriter<'_>) {
        match self {
            Self::Databases => {}
            Self::Collections { database } => out.string("db", database),
            Self::Unmeasured(namespace) => write_namespace(namespace, out),
            Self::Whole(namespace) => {
                write_namespace(namespace, out);
                out.boolean("whole", true);
            }
            Self::Range { namespace, from, to } => {
                write_namespace(namespace, out);
                for (name, bound) in [("from", from), ("to", to)] {
                    if let Some(bound) = bound {
                        out.raw_document(name, bound);
                    }
                }
            }
        }
    }

    fn read(piece: RawDoc<'_>) -> Result<Self, CopyPositionError> {
        let (mut database, mut collection) = (None, None);
        let (mut whole, mut from, mut to) = (false, None, None);
        for element in piece {
            let element = element?;
            match (element.name, element.value) {
                (b"db", RawValue::String(name)) => database = Some(text(name)?),
                (b"coll", RawValue::String(name)) => collection = Some(text(name)?),
                (b"whole", RawValue::Boolean(value)) => whole = value,
                (b"from", RawValue::Document(bound)) => from = Some(bound.as_bytes().to_vec()),
                (b"to", RawValue::Document(bound)) => to = Some(bound.as_bytes().to_vec()),
                _ => return Err(CopyPositionError::Form),
            }
        }
        Ok(match (database, collection) {
            (None, None) => Self::Databases,
            (None, Some(_)) => return Err(CopyPositionError::Form),
            (Some(database), None) => Self::Collections { database },
            (Some(database), Some(collection)) => {
                let namespace = Namespace { database, collection };
                match (whole, &from, &to) {
                    (true, _, _) => Self::Whole(namespace),
                    (false, None, None) => Self::Unmeasured(namespace),
                    (false, _, _) => Self::Range { namespace, from, to },
                }
            }
        })
    }
}

fn write_namespace(namespace: &Namespace, out: &mut DocWriter<'_>) {
    out.string("db", &namespace.database);
    out.string("coll", &namespace.collection);
}

fn text(name: &[u8]) -> Result<String, CopyPositionError> {
    String::from_utf8(name.to_vec()).map_err(|_| CopyPositionError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::bson_write::write_document;
    use bson::doc;

    fn position() -> CopyPosition {
        let namespace = Namespace { database: "d".to_owned(), collection: "c".to_owned() };
        let bound = |n: i32| Some(doc! { "_id": n }.to_vec().unwrap());
        CopyPosition {
            stream: doc! { "_data": "82" }.to_vec().unwrap(),
            left: vec![
                Piece::Databases,
                Piece::Collections { database: "d".to_owned() },
                Piece::Unmeasured(namespace.clone()),
                Piece::Whole(namespace.clone()),
                Piece::Range { namespace: namespace.clone(), from: bound(1), to: bound(2) },
                Piece::Range { namespace: namespace.clone(), from: None, to: bound(2) },
                Piece::Range { namespace, from: bound(1), to: None },
            ],
        }
    }

    fn bytes(position: &CopyPosition) -> Vec<u8> {
        let (mut out, id) = (Vec::new(), doc! { "_id": "last" }.to_vec().unwrap());
        let id = &id[4..id.len() - 1];
        write_document(&mut out, |out| {
            write_position(id, &position.stream, position.left.iter(), out);
        });
        out
    }

    #[test]
    fn a_position_comes_back_as_it_went() {
        assert_eq!(CopyPosition::read(&bytes(&position())), Ok(position()));
        let done = CopyPosition { left: Vec::new(), ..position() };
        assert_eq!(CopyPosition::read(&bytes(&done)), Ok(done));
    }

    #[test]
    fn a_position_altered_at_any_byte_is_read_or_refused() {
        let whole = bytes(&position());
        for at in 0..whole.len() {
            for byte in [0, 1, 0x10, 0xff] {
                let mut altered = whole.clone();
                altered[at] = byte;
                let _ = CopyPosition::read(&altered);
            }
            assert!(CopyPosition::read(&whole[..at]).is_err());
        }
        let token = doc! { "_data": "82" };
        for bad in [
            doc! { "left": [] },
            doc! { "stream": token.clone() },
            doc! { "stream": token.clone(), "left": [1] },
            doc! { "stream": token.clone(), "left": [{ "coll": "c" }] },
            doc! { "stream": token, "left": [{ "db": "d", "coll": "c", "later": 1 }] },
        ] {
            let read = CopyPosition::read(&bad.to_vec().unwrap());
            assert_eq!(read, Err(CopyPositionError::Form), "{bad}");
        }
    }
}
