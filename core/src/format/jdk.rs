//! What of the text depends on the Java that runs the connector: the digits of doubles and the characters it knows.
//!
//! | JDK | `Double.toString` | `Character.getType` |
//! |---|---|---|
//! | 17 | of `FloatingDecimal`: mostly the fewest digits | Unicode 13.0 |
//! | 25 | the fewest digits, at least two (since JDK 19) | Unicode 16.0 |
//!
//! A JDK is a type parameter of the writers, as a notation is: the choice costs nothing per value.
//! Versions between them have digits of 25 and another Unicode, and were not held against a JVM.

use crate::format::{double, unicode};

/// The Java whose text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JavaVersion {
    /// JDK 17.
    #[default]
    V17,
    /// JDK 25.
    V25,
}

/// A JDK, as a type.
pub(super) trait Jdk {
    /// Appends a double as its `Double.toString` does.
    fn write_double(value: f64, out: &mut Vec<u8>);

    /// Whether the UTF-16 unit stands for itself in JSON text.
    fn is_printable(unit: u16) -> bool;
}

/// [`JavaVersion::V17`]
pub(super) enum Jdk17 {}
/// [`JavaVersion::V25`]
pub(super) enum Jdk25 {}

impl Jdk for Jdk17 {
    #[inline(always)]
    fn write_double(value: f64, out: &mut Vec<u8>) {
        double::write::<false>(value, out);
    }

    #[inline(always)]
    fn is_printable(unit: u16) -> bool {
        unicode::is_printable(&unicode::OF_JDK_17, unit)
    }
}

impl Jdk for Jdk25 {
    #[inline(always)]
    fn write_double(value: f64, out: &mut Vec<u8>) {
        double::write::<true>(value, out);
    }

    #[inline(always)]
    fn is_printable(unit: u16) -> bool {
        unicode::is_printable(&unicode::OF_JDK_25, unit)
    }
}
