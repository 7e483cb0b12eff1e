//! Which values of a property Java takes, and what it says of the others.

use super::error::Reason;
use super::property::Value;

/// Which values Java takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// All.
    Any,
    /// `Range.atLeast`.
    AtLeast(i64),
    /// The same, and `null`.
    AtLeastIfGiven(i64),
    /// `Range.between`, and maybe one value outside.
    Between { min: i64, max: i64, or: Option<i64> },
    /// `NonEmptyString`.
    NonEmpty,
    /// `NonEmptyStringWithoutControlChars`.
    Name,
    /// `ValidString`.
    OneOfStrings(&'static [&'static str]),
    /// `CaseInsensitiveValidString`.
    OneOfStringsAnyCase(&'static [&'static str]),
    /// The MongoDB connector's own check of enumerations.
    OneOf { values: &'static [&'static str], any_case: bool, or_empty: bool },
}

impl Check {
    /// Why Java does not take `value`; `None`: it does.
    pub(super) fn violation(self, value: &Value) -> Option<Reason> {
        match (self, value) {
            (Self::AtLeast(min) | Self::AtLeastIfGiven(min), Value::Integer(number))
                if *number < min =>
            {
                Some(Reason::BelowMin(min))
            }
            (Self::Between { min, max, or }, Value::Integer(number))
                if !(min..=max).contains(number) && or != Some(*number) =>
            {
                Some(match or {
                    Some(or) => Reason::NotBetween { min, max, or },
                    None if *number < min => Reason::BelowMin(min),
                    None => Reason::AboveMax(max),
                })
            }
            (Self::OneOfStrings(values), Value::Text(text)) if !values.contains(&text.as_str()) => {
                Some(Reason::NotOneOfStrings(values))
            }
            (Self::OneOfStringsAnyCase(values), Value::Text(text))
                if !values.iter().any(|value| value.eq_ignore_ascii_case(text)) =>
            {
                Some(Reason::NotOneOfStringsAnyCase(values))
            }
            (Self::Name, Value::Text(name)) => objection_to_name(name),
            (Self::NonEmpty, Value::Text(text)) if text.is_empty() => Some(Reason::Empty),
            (Self::OneOf { values, any_case, or_empty }, Value::Text(text)) => {
                let known = values.iter().any(|value| {
                    if any_case { value.eq_ignore_ascii_case(text) } else { value == text }
                });
                let empty_is_fine = or_empty && text.is_empty();
                (!known && !empty_is_fine).then_some(Reason::NotOneOf(values))
            }
            (
                Self::Any
                | Self::AtLeast(_)
                | Self::AtLeastIfGiven(_)
                | Self::Between { .. }
                | Self::Name
                | Self::NonEmpty
                | Self::OneOf { .. }
                | Self::OneOfStrings(_)
                | Self::OneOfStringsAnyCase(_),
                _,
            ) => None,
        }
    }

    /// What is said when there is no value because it could not be read, or is `null`.
    pub(super) fn objection_to_null(self) -> Option<Reason> {
        match self {
            Self::AtLeast(_) | Self::Between { .. } => Some(Reason::Null),
            Self::OneOfStrings(values) => Some(Reason::NotOneOfStrings(values)),
            Self::OneOfStringsAnyCase(values) => Some(Reason::NotOneOfStringsAnyCase(values)),
            Self::Any
            | Self::AtLeastIfGiven(_)
            | Self::Name
            | Self::NonEmpty
            | Self::OneOf { .. } => None,
        }
    }
}

fn objection_to_name(name: &str) -> Option<Reason> {
    if name.is_empty() {
        return Some(Reason::NoName);
    }
    let controls = name.chars().filter(|char| char.is_control());
    let controls: Vec<String> = controls.map(|char| u32::from(char).to_string()).collect();
    (!controls.is_empty()).then_some(Reason::ControlCharacters(controls))
}
