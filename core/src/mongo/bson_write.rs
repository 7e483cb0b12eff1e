//! Writes BSON documents into a buffer: the commands we send, a few hundred bytes each.
//!
//! ```text
//!  length … elements … 0      length stays blank until the document ends, then it is patched
//! ```
//!
//! Nested documents are closures, so none can be left open. Field names are our own and hold no
//! zero byte; values are written as they come. Not on the way of a stream's event, which is copied
//! whole; the event of a copied document is built with it.

/// Appends one document to `out`; `fill` writes its elements.
pub fn write_document(out: &mut Vec<u8>, fill: impl FnOnce(&mut DocWriter<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(&mut DocWriter { out });
    out.push(0);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(blank) = out.get_mut(start..start + 4) {
        blank.copy_from_slice(&length.to_le_bytes());
    }
}

/// Appends elements to a document that is being written. Made by [`write_document`].
#[derive(Debug)]
pub struct DocWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl DocWriter<'_> {
    /// A double.
    pub fn double(&mut self, name: &str, value: f64) {
        self.head(0x01, name);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A string.
    pub fn string(&mut self, name: &str, value: &str) {
        self.head(0x02, name);
        let length = u32::try_from(value.len() + 1).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(0);
    }

    /// A nested document.
    pub fn document(&mut self, name: &str, fill: impl FnOnce(&mut DocWriter<'_>)) {
        self.head(0x03, name);
        write_document(self.out, fill);
    }

    /// A nested document that is already BSON. `bytes` must be one whole document.
    pub fn raw_document(&mut self, name: &str, bytes: &[u8]) {
        self.head(0x03, name);
        self.out.extend_from_slice(bytes);
    }

    /// Elements that are already BSON, each whole with its type and name.
    pub fn raw_elements(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// An array; `fill` names the items `"0"`, `"1"` and so on.
    pub fn array(&mut self, name: &str, fill: impl FnOnce(&mut DocWriter<'_>)) {
        self.head(0x04, name);
        write_document(self.out, fill);
    }

    /// Bytes of the generic subtype.
    pub fn binary(&mut self, name: &str, value: &[u8]) {
        self.head(0x05, name);
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.push(0);
        self.out.extend_from_slice(value);
    }

    /// A boolean.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.head(0x08, name);
        self.out.push(u8::from(value));
    }

    /// A 32-bit integer.
    pub fn int32(&mut self, name: &str, value: i32) {
        self.head(0x10, name);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A timestamp: seconds since 1970 and a counter within the second.
    pub fn timestamp(&mut self, name: &str, time: u32, increment: u32) {
        self.head(0x11, name);
        self.out.extend_from_slice(&increment.to_le_bytes());
        self.out.extend_from_slice(&time.to_le_bytes());
    }

    /// A 64-bit integer.
    pub fn int64(&mut self, name: &str, value: i64) {
        self.head(0x12, name);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn head(&mut self, kind: u8, name: &str) {
        self.out.push(kind);
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::spec::BinarySubtype::Generic;

    #[test]
    fn documents_are_read_back_by_an_independent_decoder() {
        let mut inner = Vec::new();
        write_document(&mut inner, |doc| doc.string("k", "v"));
        let mut out = b"before".to_vec();
        write_document(&mut out, |doc| {
            doc.double("double", -0.5);
            doc.string("string", "grüße");
            doc.document("document", |doc| doc.array("array", |doc| doc.int32("0", -1)));
            doc.raw_document("raw", &inner);
            doc.raw_elements(inner.get(4..inner.len() - 1).unwrap());
            doc.binary("binary", &[0, 255]);
            doc.boolean("boolean", true);
            doc.int32("int32", i32::MIN);
            doc.timestamp("timestamp", 7, 9);
            doc.int64("int64", i64::MAX);
        });
        let got = bson::Document::from_reader(&out[6..]).expect("valid BSON");
        let want = bson::doc! {
            "double": -0.5,
            "string": "grüße",
            "document": { "array": [-1_i32] },
            "raw": { "k": "v" },
            "k": "v",
            "binary": bson::Binary { subtype: Generic, bytes: vec![0, 255] },
            "boolean": true,
            "int32": i32::MIN,
            "timestamp": bson::Timestamp { time: 7, increment: 9 },
            "int64": i64::MAX,
        };
        assert_eq!(got, want);
    }
}
