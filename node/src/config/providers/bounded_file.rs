//! The content of a file that a placeholder names.
//!
//! Whoever writes a connector names it, so it may be anything: a device or a pipe would never end, or never begin.

use std::fs::{self, File};
use std::io::{Error, Read, Result};
use std::path::Path;

/// Secrets are short. Bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a regular file of at most 1 MiB.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    // Asked for before it is opened: opening a pipe waits for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(Error::other("it is no regular file; name one that holds the values"));
    }
    let mut content = Vec::new();
    // Files of the kernel do not say how long they are.
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if FILE_BYTES_MAX < content.len() as u64 {
        return Err(Error::other("it has more than 1 MiB; keep the values in a file of their own"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values");
        let size = usize::try_from(FILE_BYTES_MAX).unwrap();
        fs::write(&path, vec![b'a'; size]).unwrap();
        assert_eq!(read(&path).unwrap().len(), size);
        fs::write(&path, vec![b'a'; size + 1]).unwrap();
        let refused = |path: &Path| read(path).unwrap_err().to_string();
        assert!(refused(&path).starts_with("it has more than 1 MiB; "));
        for other in [Path::new("/dev/zero"), folder.path()] {
            assert!(refused(other).starts_with("it is no regular file; "), "{}", other.display());
        }
    }
}
