//! The order in which `java.util.HashMap` returns its entries, which is the order of the fields of a map without a
//! schema behind a transformation.
//!
//! ```text
//!  table of 2^n places      hash = h ^ h >>> 16, place = hash & (2^n - 1), h as of String.hashCode
//!  grows to twice its size when more than 3/4 of it are taken; entries of one place stay in their order
//! ```
//!
//! Facts: JDK 17, places with so many entries that they become trees aside.

use crate::connect::Value;

const FIRST_TABLE: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct HashMap<V = Value> {
    /// Places; 0 until the first entry.
    table: usize,
    /// Places that the first entry makes.
    first_table: usize,
    entries: Vec<(String, V)>,
}

impl<V> HashMap<V> {
    /// `new HashMap<>()`
    pub(super) fn new() -> Self {
        Self { table: 0, first_table: FIRST_TABLE, entries: Vec::new() }
    }

    /// `new HashMap<>(capacity)`
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { first_table: capacity.next_power_of_two(), ..Self::new() }
    }

    /// `new HashMap<>(map)`
    pub(super) fn copy_of(entries: Vec<(String, V)>) -> Self {
        let mut map = match entries.len() {
            0 => Self::new(),
            // In Java a float of size / 0.75 + 1, cut.
            count => Self::with_capacity(count * 4 / 3 + 1),
        };
        for (name, value) in entries {
            map.put(name, value);
        }
        map
    }

    pub(super) fn put(&mut self, name: String, value: V) {
        if let Some((_, there)) = self.entries.iter_mut().find(|(there, _)| *there == name) {
            *there = value;
            return;
        }
        if self.table == 0 {
            self.table = self.first_table;
        }
        self.entries.push((name, value));
        if self.table * 3 / 4 < self.entries.len() {
            self.table *= 2;
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.entries.retain(|(there, _)| there != name);
    }

    /// The entries in Java's order.
    pub(super) fn into_entries(mut self) -> Vec<(String, V)> {
        let mask = self.table.saturating_sub(1);
        self.entries.sort_by_key(|(name, _)| hash(name) as usize & mask);
        self.entries
    }
}

impl HashMap {
    /// A map whose entries are in Java's order.
    pub(super) fn into_value(self) -> Value {
        Value::Map(self.into_entries())
    }
}

fn hash(name: &str) -> u32 {
    let hash = name
        .encode_utf16()
        .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(map: HashMap) -> Vec<String> {
        let Value::Map(entries) = map.into_value() else { panic!("a map") };
        entries.into_iter().map(|(name, _)| name).collect()
    }

    const GIVEN_NEW: [&str; 9] =
        ["Aa", "static", "payload", "😀", "topic", "é", "ts", "AaAa", "BBBB"];
    const GIVEN_COPY: [&str; 8] = ["Aa", "static", "😀", "topic", "é", "ts", "AaAa", "BBBB"];

    /// Printed by JDK 17.
    #[test]
    fn entries_come_in_the_order_of_java() {
        let words = ["topic", "static", "payload", "ts", "é", "😀", "AaAa", "BBBB", "Aa"];
        let mut map = HashMap::new();
        for word in words {
            map.put(word.to_owned(), Value::Null);
        }
        assert_eq!(names(map), GIVEN_NEW);
        let mut map = HashMap::copy_of(vec![("topic".to_owned(), Value::Null)]);
        for word in &words[1..] {
            map.put((*word).to_owned(), Value::Null);
        }
        map.remove("payload");
        assert_eq!(names(map), GIVEN_COPY);
        let entries = words.iter().take(5).map(|word| ((*word).to_owned(), Value::Null));
        let copied = HashMap::copy_of(entries.collect());
        assert_eq!(names(copied), ["topic", "é", "static", "payload", "ts"]);
    }
}
