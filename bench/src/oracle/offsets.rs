//! The offsets file of Kafka Connect, read by the rules of Java's serialisation.
//!
//! ```text
//! AC ED 00 05 … 77 08 capacity size     java.util.HashMap, then its pairs
//! 75 72 … 78 70 length bytes            byte[], with the description of its class the first time
//! 75 71 handle  length bytes            byte[]
//! 78                                    the end
//! ```
//!
//! Written from the specification, apart from the node's own reader. Numbers are big-endian.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// All pairs of the file, as text. A missing file holds none.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let bytes = fs::read(path)?;
    pairs(&bytes).with_context(|| format!("{} is no file that Java wrote", path.display()))
}

/// The resume token in the value of an offset: `{"_id":"{\"_data\": \"82…\"}"}`.
pub fn token_of(value: &str) -> Result<String> {
    let offset: Value = serde_json::from_str(value).with_context(|| value.to_owned())?;
    let token = offset["_id"].as_str().with_context(|| format!("no _id in {value}"))?;
    let token: Value = serde_json::from_str(token).with_context(|| value.to_owned())?;
    Ok(token["_data"].as_str().with_context(|| format!("no _data in {value}"))?.to_owned())
}

fn pairs(bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let class = b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap";
    ensure!(bytes.starts_with(class), "it does not begin with a java.util.HashMap");
    // The fields' values end in "threshold", then the block of 8 bytes begins.
    let block = bytes.windows(2).position(|pair| pair == [0x77, 8]).context("no block data")?;
    let mut rest = &bytes[block + 2 + 4..];
    let size = u32::from_be_bytes(take(&mut rest, 4)?.try_into()?);
    let mut pairs = BTreeMap::new();
    for _ in 0..size {
        let (key, value) = (array(&mut rest)?, array(&mut rest)?);
        pairs.insert(key, value);
    }
    ensure!(rest == [0x78], "{} bytes where the map should end", rest.len());
    ensure!(pairs.len() == size as usize, "a key stands there twice");
    Ok(pairs)
}

fn array(rest: &mut &[u8]) -> Result<String> {
    match take(rest, 2)? {
        [0x75, 0x72] => {
            let name = take(rest, 4)?;
            ensure!(name == b"\x00\x02[B", "an array of something else than bytes: {name:?}");
            take(rest, 8 + 1 + 2 + 2)?; // serial number, flags, no fields, no superclass
        }
        [0x75, 0x71] => drop(take(rest, 4)?),
        other => bail!("{other:02x?} where an array should begin"),
    }
    let length = u32::from_be_bytes(take(rest, 4)?.try_into()?);
    Ok(String::from_utf8(take(rest, length as usize)?.to_vec())?)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count).context("it is cut off")?;
    *rest = left;
    Ok(taken)
}
