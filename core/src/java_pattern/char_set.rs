//! Sets of characters: what Java's classes and shorthands stand for, as ranges of code points.
//!
//! ```text
//!  \w          {0-9, A-Z, _, a-z}                  ASCII, as in Java without UNICODE_CHARACTER_CLASS
//!  [^\d]       {0-/, :-10FFFF}
//!  (?i)[a-c]   {A-C, a-c}                          ASCII, as in Java without UNICODE_CASE
//! ```

/// The highest code point.
const LAST: u32 = 0x10_FFFF;

/// Code points, as ranges in no order that may overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CharSet {
    ranges: Vec<(u32, u32)>,
}

/// `\n`, `\r`, next line, line separator, paragraph separator: what `.` does not match.
pub(super) const LINE_TERMINATORS: &[(u32, u32)] =
    &[(0x0A, 0x0A), (0x0D, 0x0D), (0x85, 0x85), (0x2028, 0x2029)];
const DIGIT: &[(u32, u32)] = &[(0x30, 0x39)];
const WORD: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];
const SPACE: &[(u32, u32)] = &[(0x09, 0x0D), (0x20, 0x20)];
const HORIZONTAL: &[(u32, u32)] = &[
    (0x09, 0x09),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x180E, 0x180E),
    (0x2000, 0x200A),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
];
const VERTICAL: &[(u32, u32)] = &[(0x0A, 0x0D), (0x85, 0x85), (0x2028, 0x2029)];

impl CharSet {
    /// These ranges.
    pub(super) fn of(ranges: &[(u32, u32)]) -> Self {
        Self { ranges: ranges.to_vec() }
    }

    /// What a backslash and `letter` stand for, if that is a set.
    pub(super) fn shorthand(letter: char) -> Option<Self> {
        let ranges = match letter.to_ascii_lowercase() {
            'd' => DIGIT,
            'w' => WORD,
            's' => SPACE,
            'h' => HORIZONTAL,
            'v' => VERTICAL,
            _ => return None,
        };
        let set = Self::of(ranges);
        Some(if letter.is_ascii_uppercase() { set.complement() } else { set })
    }

    /// What `\p{name}` stands for: the POSIX classes, which are ASCII.
    pub(super) fn posix(name: &str) -> Option<Self> {
        Some(Self::of(match name {
            "Lower" => &[(0x61, 0x7A)],
            "Upper" => &[(0x41, 0x5A)],
            "ASCII" => &[(0x00, 0x7F)],
            "Alpha" => &[(0x41, 0x5A), (0x61, 0x7A)],
            "Digit" => DIGIT,
            "Alnum" => &[(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
            "Punct" => &[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
            "Graph" => &[(0x21, 0x7E)],
            "Print" => &[(0x20, 0x7E)],
            "Blank" => &[(0x09, 0x09), (0x20, 0x20)],
            "Cntrl" => &[(0x00, 0x1F), (0x7F, 0x7F)],
            "XDigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
            "Space" => SPACE,
            _ => return None,
        }))
    }

    /// Adds the characters from `first` to `last`.
    pub(super) fn add_range(&mut self, first: u32, last: u32) {
        self.ranges.push((first, last));
    }

    /// Adds all of `other`.
    pub(super) fn add(&mut self, other: &Self) {
        self.ranges.extend_from_slice(&other.ranges);
    }

    /// Adds the other case of every ASCII letter that is there.
    pub(super) fn fold_ascii(&mut self) {
        for (first, last) in self.ranges.clone() {
            for (begin, end, other) in [(0x41, 0x5A, 0x61), (0x61, 0x7A, 0x41)] {
                let (low, high) = (first.max(begin), last.min(end));
                if low <= high {
                    self.ranges.push((low - begin + other, high - begin + other));
                }
            }
        }
    }

    /// Every character that is not there.
    pub(super) fn complement(mut self) -> Self {
        self.ranges.sort_unstable();
        let mut rest = Vec::new();
        let mut next = 0;
        for (first, last) in self.ranges {
            if next < first {
                rest.push((next, first - 1));
            }
            next = next.max(last + 1);
        }
        if next <= LAST {
            rest.push((next, LAST));
        }
        Self { ranges: rest }
    }

    /// Appends the set as the engine reads it, without any shorthand.
    pub(super) fn spell(&self, out: &mut String) {
        if self.ranges.is_empty() {
            out.push_str("(?!)");
            return;
        }
        out.push('[');
        for (first, last) in &self.ranges {
            out.push_str(&format!(r"\x{{{first:x}}}-\x{{{last:x}}}"));
        }
        out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complement_of_the_complement_is_the_set_in_order() {
        let set = CharSet::of(&[(0x61, 0x7A), (0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F)]);
        assert_eq!(set.complement().complement(), CharSet::of(WORD));
        assert_eq!(CharSet::default().complement().complement(), CharSet::default());
        let overlapping = CharSet::of(&[(0, 9), (3, 5), (9, LAST)]);
        assert_eq!(overlapping.complement(), CharSet::default());
    }

    #[test]
    fn only_ascii_letters_have_another_case() {
        let mut set = CharSet::of(&[(0x59, 0x62), (0x212A, 0x212A)]);
        set.fold_ascii();
        assert_eq!(set, CharSet::of(&[(0x59, 0x62), (0x212A, 0x212A), (0x79, 0x7A), (0x41, 0x42)]));
    }
}
