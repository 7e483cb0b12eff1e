//! Names one document.

/// Its writer, and a number that counts up within the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The writer that owns the key.
    pub writer: u32,
    /// Keys of a writer are numbered from 0 without gaps, in the order of their inserts.
    pub number: u32,
}

impl Key {
    /// The document's `_id`: writer in the upper, number in the lower half.
    pub fn id(self) -> i64 {
        (i64::from(self.writer) << 32) | i64::from(self.number)
    }

    /// The key of an `_id`. `None` if no writer can have made it.
    pub fn from_id(id: i64) -> Option<Self> {
        let writer = u32::try_from(id >> 32).ok()?;
        let number = u32::try_from(id & i64::from(u32::MAX)).ok()?;
        Some(Self { writer, number })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_name_their_keys(writer in 0..=i32::MAX as u32, number: u32) {
            let key = Key { writer, number };
            prop_assert_eq!(Key::from_id(key.id()), Some(key));
            prop_assert_eq!(Key::from_id(!key.id()), None);
        }
    }
}
