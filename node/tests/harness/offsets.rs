//! The offsets file of Kafka Connect: positions that are found there or put there.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
pub(crate) use millrace_bench::oracle::offsets::{read, token_of};

/// The resume token (`_data` in hexadecimal) of the one position in the file; `None` if there is none.
pub(crate) fn token(path: &Path) -> Result<Option<String>> {
    let pairs = read(path)?;
    ensure!(pairs.len() < 2, "one position was expected: {pairs:?}");
    pairs.into_values().next().map(|value| token_of(&value)).transpose()
}

/// Writes a file that holds one position of a connector: behind `token`.
pub(crate) fn write(path: &Path, key: &str, token: &str) -> Result<()> {
    let value = format!(r#"{{"_id":"{{\"_data\": \"{token}\"}}"}}"#);
    let mut bytes = b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02F\x00\x0aloadFactorI\x00\x09thresholdxp\x3f\x40\x00\x00\x00\x00\x00\x0c\x77\x08\x00\x00\x00\x10\x00\x00\x00\x01".to_vec();
    let classes: [&[u8]; 2] =
        [b"ur\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00xp", b"uq\x00\x7e\x00\x02"];
    for (class, text) in classes.iter().zip([key, &value]) {
        bytes.extend_from_slice(class);
        bytes.extend_from_slice(&u32::try_from(text.len())?.to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.push(b'x');
    fs::write(path, bytes)?;
    Ok(())
}
