//! The offsets file of Kafka Connect: a `java.util.HashMap<byte[], byte[]>`, serialised by Java.
//!
//! ```text
//! AC ED 00 05                                  stream
//! 73 72 "java.util.HashMap" id 03              object, its class: fields loadFactor F, threshold I
//!    00 02 F"loadFactor" I"threshold" 78 70
//! 3F400000 threshold                           the fields
//! 77 08 capacity size                          block data
//! { key value } × size                         each an array, or 70 for no value
//!    75 72 "[B" id 02 0000 78 70 length bytes     the first array describes its class
//!    75 71 007E0002            length bytes       later ones refer to that
//!    71 007E000n                                  an array that was written before
//! 78
//! ```
//!
//! All numbers are big-endian. `FileOffsetBackingStore` of Connect writes it, and so do we: the
//! same bytes, but in the order of the keys, where Java's order is by chance. Format: Java Object
//! Serialization Specification, chapter 6.
//!
//! Reading trusts no length. Nothing here touches a file.

use thiserror::Error;

use super::stored::StoredOffsets;

/// Everything up to the values of the two fields.
const HEAD: &[u8] =
    b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\
    \x00\x02F\x00\x0aloadFactorI\x00\x09thresholdxp";
/// The class of `byte[]`, where it stands for the first time.
const BYTES_CLASS: &[u8] = b"r\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00xp";
/// A reference to that class: the map's class is handle 0, the map 1.
const BYTES_CLASS_REFERENCE: &[u8] = b"q\x00\x7e\x00\x02";
const HANDLE_BASE: u32 = 0x007e_0000;
/// The handle of the first array; the class of arrays has the one before.
const HANDLE_OF_FIRST_ARRAY: u32 = HANDLE_BASE + 3;

const ARRAY: u8 = b'u';
const BLOCK_DATA: u8 = b'w';
const END_OF_BLOCK: u8 = b'x';
const NULL: u8 = b'p';
const REFERENCE: u8 = b'q';
/// 0.75, Java's default.
const LOAD_FACTOR: [u8; 4] = [0x3f, 0x40, 0, 0];
const CAPACITY_MIN: u32 = 16;

/// Why bytes are no offsets file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("byte {at}: {what}")]
pub(super) struct JavaFileError {
    /// Bytes before the place.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) what: Wrong,
}

/// What is wrong.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Wrong {
    #[error("the file ends here, it was cut off")]
    Cut,
    #[error("this is no java.util.HashMap that Java has serialised")]
    NoMap,
    #[error("expected an array of bytes")]
    NoArray,
    #[error("a length of {0}")]
    Length(i32),
    #[error("a reference to something that was not written")]
    Reference,
    #[error("an entry without a key")]
    NoKey,
    #[error("bytes after the end of the map")]
    Rest,
}

/// Reads a whole file. No bytes are no offsets, as in Java.
pub(super) fn decode(bytes: &[u8]) -> Result<StoredOffsets, JavaFileError> {
    let mut stored = StoredOffsets::default();
    if bytes.is_empty() {
        return Ok(stored);
    }
    let mut reader = Reader { bytes, at: 0, class_is_known: false, arrays: Vec::new() };
    reader.expect(HEAD, Wrong::NoMap)?;
    reader.take(8)?;
    reader.expect(&[BLOCK_DATA, 8], Wrong::NoMap)?;
    reader.take(4)?;
    let size_at = reader.at;
    let size = reader.length()?;
    for _ in 0..size {
        let at = reader.at;
        let Some(key) = reader.array()? else {
            return Err(JavaFileError { at, what: Wrong::NoKey });
        };
        let value = reader.array()?;
        stored.insert(key.to_vec(), value.map(<[u8]>::to_vec));
    }
    if stored.len() != size {
        return Err(JavaFileError { at: size_at, what: Wrong::NoMap });
    }
    reader.expect(&[END_OF_BLOCK], Wrong::NoMap)?;
    if reader.at == bytes.len() { Ok(stored) } else { Err(reader.error(Wrong::Rest)) }
}

/// Writes a whole file.
pub(super) fn encode(stored: &StoredOffsets) -> Vec<u8> {
    // A map of more pairs than an INT counts does not fit the memory.
    let size = u32::try_from(stored.len()).unwrap_or(u32::MAX);
    let (capacity, threshold) = capacity_and_threshold(size);
    let mut out = HEAD.to_vec();
    out.extend_from_slice(&LOAD_FACTOR);
    out.extend_from_slice(&threshold.to_be_bytes());
    out.extend_from_slice(&[BLOCK_DATA, 8]);
    out.extend_from_slice(&capacity.to_be_bytes());
    out.extend_from_slice(&size.to_be_bytes());
    let mut class_is_known = false;
    for (key, value) in stored.iter() {
        for array in [Some(key), value] {
            match array {
                Some(array) => write_array(array, &mut class_is_known, &mut out),
                None => out.push(NULL),
            }
        }
    }
    out.push(END_OF_BLOCK);
    out
}

/// What a Java map that grew by single puts has: twice the buckets whenever more than three
/// quarters are used.
fn capacity_and_threshold(size: u32) -> (u32, u32) {
    if size == 0 {
        return (CAPACITY_MIN, 0);
    }
    let mut capacity = CAPACITY_MIN;
    while capacity / 4 * 3 < size && capacity < 1 << 30 {
        capacity *= 2;
    }
    (capacity, capacity / 4 * 3)
}

fn write_array(array: &[u8], class_is_known: &mut bool, out: &mut Vec<u8>) {
    out.push(ARRAY);
    out.extend_from_slice(if *class_is_known { BYTES_CLASS_REFERENCE } else { BYTES_CLASS });
    *class_is_known = true;
    out.extend_from_slice(&u32::try_from(array.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(array);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    class_is_known: bool,
    /// In the order of their handles.
    arrays: Vec<&'a [u8]>,
}

impl<'a> Reader<'a> {
    fn error(&self, what: Wrong) -> JavaFileError {
        JavaFileError { at: self.at, what }
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], JavaFileError> {
        let end = self.at.checked_add(size).filter(|end| *end <= self.bytes.len());
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let cut = JavaFileError { at: self.bytes.len(), what: Wrong::Cut };
        let taken = taken.ok_or(cut)?;
        self.at += size;
        Ok(taken)
    }

    /// Takes exactly `expected`, or names the first byte that differs.
    fn expect(&mut self, expected: &[u8], otherwise: Wrong) -> Result<(), JavaFileError> {
        for byte in expected {
            if self.bytes.get(self.at).is_some_and(|found| found != byte) {
                return Err(self.error(otherwise));
            }
            self.take(1)?;
        }
        Ok(())
    }

    fn int(&mut self) -> Result<u32, JavaFileError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn length(&mut self) -> Result<usize, JavaFileError> {
        let at = self.at;
        let length = self.int()?.cast_signed();
        usize::try_from(length).map_err(|_| JavaFileError { at, what: Wrong::Length(length) })
    }

    /// The next array; `None` for null.
    fn array(&mut self) -> Result<Option<&'a [u8]>, JavaFileError> {
        let at = self.at;
        match self.take(1)? {
            [NULL] => Ok(None),
            [REFERENCE] => {
                let index = self.int()?.checked_sub(HANDLE_OF_FIRST_ARRAY);
                let index = index.and_then(|index| usize::try_from(index).ok());
                let array = index.and_then(|index| self.arrays.get(index));
                array.copied().map(Some).ok_or(JavaFileError { at, what: Wrong::Reference })
            }
            [ARRAY] => {
                let class = if self.class_is_known { BYTES_CLASS_REFERENCE } else { BYTES_CLASS };
                self.expect(class, Wrong::NoArray)?;
                self.class_is_known = true;
                let length = self.length()?;
                let array = self.take(length)?;
                self.arrays.push(array);
                Ok(Some(array))
            }
            _ => Err(JavaFileError { at, what: Wrong::NoArray }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ObjectOutputStream.writeObject(new HashMap<byte[], byte[]>())` of Java 17.
    const JAVA_EMPTY: &str = "aced0005737200116a6176612e7574696c2e486173684d61700507dac1c31660d103000246000a6c\
         6f6164466163746f724900097468726573686f6c6478703f40000000000000770800000010000000\
         0078";
    /// The same with k0=v0, k1=v1, k2=null.
    const JAVA_THREE: &str = "aced0005737200116a6176612e7574696c2e486173684d61700507dac1c31660d103000246000a6c\
         6f6164466163746f724900097468726573686f6c6478703f4000000000000c770800000010000000\
         03757200025b42acf317f8060854e00200007870000000026b307571007e00020000000276307571\
         007e0002000000026b317571007e00020000000276317571007e0002000000026b327078";

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn three() -> StoredOffsets {
        let mut stored = StoredOffsets::default();
        stored.insert(b"k0".to_vec(), Some(b"v0".to_vec()));
        stored.insert(b"k1".to_vec(), Some(b"v1".to_vec()));
        stored.insert(b"k2".to_vec(), None);
        stored
    }

    #[test]
    fn file_of_java_is_read() {
        assert_eq!(decode(&bytes(JAVA_EMPTY)), Ok(StoredOffsets::default()));
        assert_eq!(decode(&bytes(JAVA_THREE)), Ok(three()));
        assert_eq!(decode(b""), Ok(StoredOffsets::default()));
    }

    #[test]
    fn bytes_are_those_of_java() {
        assert_eq!(encode(&StoredOffsets::default()), bytes(JAVA_EMPTY));
        assert_eq!(encode(&three()), bytes(JAVA_THREE));
    }

    /// Java 17 wrote 0x20 and 0x18 for thirteen pairs.
    #[test]
    fn capacity_grows_as_in_java() {
        for (size, expected) in [
            (0, (16, 0)),
            (1, (16, 12)),
            (12, (16, 12)),
            (13, (32, 24)),
            (24, (32, 24)),
            (25, (64, 48)),
        ] {
            assert_eq!(capacity_and_threshold(size), expected, "{size}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut stored = StoredOffsets::default();
        for index in 0..100_u32 {
            let key = index.to_be_bytes().repeat(index as usize);
            let value = (index % 3 != 0).then(|| vec![7; index as usize * 50]);
            stored.insert(key, value);
        }
        assert_eq!(decode(&encode(&stored)), Ok(stored));
    }

    #[test]
    fn array_that_stands_twice_is_found_by_its_handle() {
        let mut file = bytes(JAVA_THREE);
        let end = file.len() - 2;
        file.truncate(end);
        // k2 gets the value of k0, which is the second array.
        file.extend_from_slice(b"q\x00\x7e\x00\x04x");
        let mut expected = three();
        expected.insert(b"k2".to_vec(), Some(b"v0".to_vec()));
        assert_eq!(decode(&file), Ok(expected));
        let handle = file.len() - 2;
        file[handle] = 0x09;
        assert_eq!(decode(&file).unwrap_err().what, Wrong::Reference);
        file[handle] = 0x02;
        assert_eq!(decode(&file).unwrap_err().what, Wrong::Reference);
    }

    #[test]
    fn every_cut_is_noticed() {
        let file = bytes(JAVA_THREE);
        for cut in 1..file.len() {
            assert_eq!(
                decode(&file[..cut]),
                Err(JavaFileError { at: cut, what: Wrong::Cut }),
                "{cut}"
            );
        }
    }

    #[test]
    fn no_altered_byte_panics_and_alterations_of_the_form_are_noticed() {
        let file = bytes(JAVA_THREE);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut altered = file.clone();
                altered[at] ^= 1 << bit;
                let read = decode(&altered);
                if at < HEAD.len() {
                    assert_eq!(read, Err(JavaFileError { at, what: Wrong::NoMap }));
                }
            }
        }
    }

    #[test]
    fn lengths_are_not_trusted() {
        let mut file = bytes(JAVA_THREE);
        let length = HEAD.len() + 8 + 2 + 8 + 1 + BYTES_CLASS.len();
        file[length..length + 4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(decode(&file).unwrap_err().what, Wrong::Cut);
        file[length..length + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decode(&file), Err(JavaFileError { at: length, what: Wrong::Length(-1) }));
        let mut file = bytes(JAVA_EMPTY);
        let size = HEAD.len() + 8 + 2 + 4;
        file[size..size + 4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(decode(&file).unwrap_err().what, Wrong::NoArray);
    }

    #[test]
    fn foreign_files_and_rests_are_refused_by_place() {
        assert_eq!(decode(b"hello"), Err(JavaFileError { at: 0, what: Wrong::NoMap }));
        let mut file = bytes(JAVA_EMPTY);
        file.push(0);
        let at = file.len() - 1;
        assert_eq!(decode(&file), Err(JavaFileError { at, what: Wrong::Rest }));
        assert_eq!(
            decode(&file).unwrap_err().to_string(),
            format!("byte {at}: bytes after the end of the map")
        );
    }
}
