//! What is left of a gathered write after the kernel has taken a part of it.

use std::io;

use bytes::{Buf, Bytes};

/// Segments given to one `writev`; the kernel takes at most 1,024.
pub(crate) const IO_SLICES_MAX: usize = 64;

/// Takes `written` bytes off the front of `segments` and returns how many of them are done.
///
/// # Errors
/// [`io::ErrorKind::WriteZero`] if the kernel took nothing though there was something to take.
pub(crate) fn advance(segments: &mut [Bytes], mut written: usize) -> io::Result<usize> {
    let nothing = written == 0;
    let mut done = 0;
    for segment in segments {
        if written < segment.len() {
            segment.advance(written);
            break;
        }
        written -= segment.len();
        *segment = Bytes::new();
        done += 1;
    }
    if nothing && done == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_of_a_write_leaves_what_was_not_taken() {
        let parts: [&[u8]; 5] = [b"ab", b"", b"cde", b"", b"f"];
        let whole = parts.concat();
        for written in 0..=whole.len() {
            let mut segments: Vec<Bytes> =
                parts.iter().map(|part| Bytes::from_static(part)).collect();
            let Ok(done) = advance(&mut segments, written) else {
                assert_eq!(written, 0, "only a write of nothing is an error");
                continue;
            };
            assert!(segments[..done].iter().all(Bytes::is_empty));
            assert_eq!(segments[done..].concat(), whole[written..], "written {written}");
        }
    }

    #[test]
    fn empty_segments_need_nothing_to_be_written() {
        assert_eq!(advance(&mut [Bytes::new(), Bytes::new()], 0).unwrap(), 2);
    }
}
