//! One property: its type, its default, what values it takes and what becomes of it here.
//!
//! Parsing follows `org.apache.kafka.common.config.ConfigDef`: values are trimmed, booleans are
//! read in any case, an INT has 32 bits, a list is split at commas. Messages are `ConfigDef`'s.
//!
//! A table of properties is checked by [`check_all`]; what it does not know it hands back.

use std::collections::BTreeMap;

use super::check::Check;
use super::definition::Definition;
use super::error::{Reason, Shown};
use super::report::Report;

/// One line of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    /// Its name.
    pub(crate) name: &'static str,
    /// How its text is read.
    pub(crate) kind: Kind,
    /// Java's default, or ours where the property is supported and the table says why; `None`: no
    /// value.
    pub(crate) default: Option<&'static str>,
    /// Which values Java takes.
    check: Check,
    /// Which of them we take.
    pub(crate) support: Support,
    /// What a form shows of it.
    pub(super) definition: Definition,
}

/// The types of `ConfigDef` that we meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    /// A Java class by its name.
    Class,
    Int,
    List,
    Long,
    Password,
    Short,
    Text,
}

impl Kind {
    /// Java's name of it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Class => "CLASS",
            Self::Int => "INT",
            Self::List => "LIST",
            Self::Long => "LONG",
            Self::Password => "PASSWORD",
            Self::Short => "SHORT",
            Self::Text => "STRING",
        }
    }
}

/// What becomes of a property here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {
    /// It does what it does in Java.
    Supported,
    /// Only these of Java's values; the rest is refused with the text.
    Only(&'static [&'static str], &'static str),
    /// It is taken and changes nothing here; the text says why.
    Accepted(&'static str),
    /// A value other than Java's default is refused with the text.
    NotYet(&'static str),
}

impl Property {
    const fn new(name: &'static str, kind: Kind, default: Option<&'static str>) -> Self {
        let (check, support) = (Check::Any, Support::Supported);
        Self { name, kind, default, check, support, definition: Definition::UNKNOWN }
    }

    pub(crate) const fn boolean(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Boolean, Some(default))
    }

    pub(crate) const fn int(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Int, Some(default))
    }

    pub(crate) const fn short(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Short, Some(default))
    }

    pub(crate) const fn long(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Long, Some(default))
    }

    pub(crate) const fn list(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::List, Some(default))
    }

    pub(crate) const fn text(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Text, Some(default))
    }

    pub(crate) const fn password(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Password, Some(default))
    }

    /// A property that has no value unless it is given.
    pub(crate) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self::new(name, kind, None)
    }

    /// `Range.atLeast`.
    pub(crate) const fn at_least(mut self, min: i64) -> Self {
        self.check = Check::AtLeast(min);
        self
    }

    /// As [`Property::at_least`], where Java's check lets `null` pass.
    pub(crate) const fn at_least_if_given(mut self, min: i64) -> Self {
        self.check = Check::AtLeastIfGiven(min);
        self
    }

    /// `Range.between`.
    pub(crate) const fn between(mut self, min: i64, max: i64) -> Self {
        self.check = Check::Between { min, max, or: None };
        self
    }

    /// One value more, outside of the range.
    pub(crate) const fn or_equal(mut self, value: i64) -> Self {
        if let Check::Between { min, max, .. } = self.check {
            self.check = Check::Between { min, max, or: Some(value) };
        }
        self
    }

    /// `ValidString.in`: one of `values`, as written.
    pub(crate) const fn one_of_strings(mut self, values: &'static [&'static str]) -> Self {
        self.check = Check::OneOfStrings(values);
        self
    }

    /// `CaseInsensitiveValidString.in`: one of `values`, which are upper case, in any case.
    pub(crate) const fn one_of_strings_any_case(mut self, values: &'static [&'static str]) -> Self {
        self.check = Check::OneOfStringsAnyCase(values);
        self
    }

    /// `NonEmptyStringWithoutControlChars`.
    pub(crate) const fn names_something(mut self) -> Self {
        self.check = Check::Name;
        self
    }

    /// `NonEmptyString`.
    pub(crate) const fn non_empty(mut self) -> Self {
        self.check = Check::NonEmpty;
        self
    }

    /// One of `values`, as written.
    pub(crate) const fn one_of(mut self, values: &'static [&'static str]) -> Self {
        self.check = Check::OneOf { values, any_case: false, or_empty: false };
        self
    }

    /// One of `values`, which are lower case, in any case.
    pub(crate) const fn one_of_any_case(mut self, values: &'static [&'static str]) -> Self {
        self.check = Check::OneOf { values, any_case: true, or_empty: false };
        self
    }

    /// The empty text is fine too.
    pub(crate) const fn or_empty(mut self) -> Self {
        if let Check::OneOf { values, any_case, .. } = self.check {
            self.check = Check::OneOf { values, any_case, or_empty: true };
        }
        self
    }

    /// Of Java's values only these are supported.
    pub(crate) const fn only(mut self, values: &'static [&'static str], why: &'static str) -> Self {
        self.support = Support::Only(values, why);
        self
    }

    /// Taken without effect; `meaning` goes to the log when the value is not the default.
    pub(crate) const fn accepted(mut self, meaning: &'static str) -> Self {
        self.support = Support::Accepted(meaning);
        self
    }

    /// Refused unless the value is Java's default.
    pub(crate) const fn not_yet(mut self, what: &'static str) -> Self {
        self.support = Support::NotYet(what);
        self
    }

    /// Reads `text` by Java's rules. What we support is not asked.
    pub(crate) fn parse(&self, text: &str) -> Result<Value, Reason> {
        let value = self.read(text)?;
        match self.check.violation(&value) {
            Some(reason) => Err(reason),
            None => Ok(value),
        }
    }

    /// Reads `text` by its type alone; whether Java takes the value is not asked.
    pub(super) fn read(&self, text: &str) -> Result<Value, Reason> {
        let text = text.trim();
        Ok(match self.kind {
            Kind::Boolean if text.eq_ignore_ascii_case("true") => Value::Boolean(true),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => Value::Boolean(false),
            Kind::Boolean => return Err(Reason::NotBoolean),
            Kind::Short => integer(text, i16::MIN.into(), i16::MAX.into(), "SHORT")?,
            Kind::Int => integer(text, i32::MIN.into(), i32::MAX.into(), "INT")?,
            Kind::Long => integer(text, i64::MIN, i64::MAX, "LONG")?,
            Kind::Class | Kind::Text | Kind::Password => Value::Text(text.to_owned()),
            Kind::List if text.is_empty() => Value::List(Vec::new()),
            Kind::List => Value::List(text.split(',').map(|item| item.trim().to_owned()).collect()),
        })
    }

    /// What Java's check says when there is no value because it could not be read, or is `null`.
    pub(super) fn objection_to_null(&self) -> Option<Reason> {
        self.check.objection_to_null()
    }

    /// The value as far as an error may show it.
    pub(crate) fn shown(&self, text: &str) -> Shown {
        match self.kind {
            Kind::Password => Shown::Hidden,
            Kind::Boolean
            | Kind::Class
            | Kind::Int
            | Kind::List
            | Kind::Long
            | Kind::Short
            | Kind::Text => Shown::Text(text.to_owned()),
        }
    }

    fn is_default(&self, value: &Value) -> bool {
        match self.default.map(|default| self.parse(default)) {
            Some(Ok(default)) => match (&default, value) {
                (Value::Text(default), Value::Text(text)) => default.eq_ignore_ascii_case(text),
                _ => default == *value,
            },
            Some(Err(_)) | None => false,
        }
    }
}

/// The value of a property, read by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Boolean(bool),
    Integer(i64),
    List(Vec<String>),
    Text(String),
}

fn integer(text: &str, min: i64, max: i64, kind: &'static str) -> Result<Value, Reason> {
    match text.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(Value::Integer(number)),
        Ok(_) | Err(_) => Err(Reason::NotANumber(kind)),
    }
}

/// The checked values of a table, defaults included.
#[derive(Debug, Default)]
pub(crate) struct Values {
    values: BTreeMap<&'static str, Value>,
}

impl Values {
    /// A boolean; false if it was refused.
    pub(crate) fn boolean(&self, name: &str) -> bool {
        self.values.get(name) == Some(&Value::Boolean(true))
    }

    /// A number; `None` if it has no default and was not given, or was refused.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Integer(number)) => Some(*number),
            Some(Value::Boolean(_) | Value::List(_) | Value::Text(_)) | None => None,
        }
    }

    /// A text; empty if it has no default and was not given, or was refused.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(Value::Text(text)) => text,
            Some(Value::Boolean(_) | Value::Integer(_) | Value::List(_)) | None => "",
        }
    }

    /// A text, if there is one.
    pub(crate) fn optional_text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Boolean(_) | Value::Integer(_) | Value::List(_)) | None => None,
        }
    }

    /// A list; empty if it has no default and was not given, or was refused.
    pub(crate) fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(Value::List(items)) => items,
            Some(Value::Boolean(_) | Value::Integer(_) | Value::Text(_)) | None => &[],
        }
    }
}

/// Checks what `given` says about the properties of `table`; names are shown with `prefix`, which
/// they do not carry. Returns the values and the names that the table does not know.
pub(crate) fn check_all<'a>(
    table: impl Iterator<Item = &'static Property>,
    given: &'a BTreeMap<String, String>,
    prefix: &str,
    report: &mut Report,
) -> (Values, Vec<&'a str>) {
    let mut values = BTreeMap::new();
    let mut unknown: Vec<&str> = given.keys().map(String::as_str).collect();
    for property in table {
        let value = match given.get(property.name) {
            Some(text) => {
                unknown.retain(|name| *name != property.name);
                check_one(property, text, prefix, report)
            }
            None => property.default.and_then(|default| property.parse(default).ok()),
        };
        if let Some(value) = value {
            values.insert(property.name, value);
        }
    }
    (Values { values }, unknown)
}

fn check_one(property: &Property, text: &str, prefix: &str, report: &mut Report) -> Option<Value> {
    let name = format!("{prefix}{}", property.name);
    let value = match property.read(text) {
        Ok(value) => value,
        Err(reason) => {
            report.refuse(&name, property.shown(text), reason);
            return None;
        }
    };
    if let Some(reason) = property.check.violation(&value) {
        // What could be read is shown as it was read.
        report.refuse(&name, property.shown(&property.text_of(&value)), reason);
        return None;
    }
    match property.support {
        Support::Supported => {}
        Support::Only(values, why) => {
            let taken = |text: &String| values.iter().any(|value| value.eq_ignore_ascii_case(text));
            if matches!(&value, Value::Text(text) if !taken(text)) {
                report.refuse(&name, property.shown(text), Reason::NotYet(why));
            }
        }
        Support::Accepted(meaning) => {
            if !property.is_default(&value) {
                report.info(format!("{name}: {meaning}"));
            }
        }
        Support::NotYet(what) => {
            if !property.is_default(&value) {
                report.refuse(&name, property.shown(text), Reason::NotYet(what));
            }
        }
    }
    Some(value)
}

/// The known name that `name` most likely stands for: the nearest by edits, if it is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (name.len() / 6).clamp(1, 4);
    let by_edits = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    by_edits
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|best| best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_trimmed_and_read_by_their_type() {
        let parse = |property: Property, text: &str| property.parse(text);
        assert_eq!(parse(Property::boolean("b", "false"), " TRUE "), Ok(Value::Boolean(true)));
        assert_eq!(parse(Property::boolean("b", "false"), "yes"), Err(Reason::NotBoolean));
        assert_eq!(parse(Property::int("i", "0"), " 5 "), Ok(Value::Integer(5)));
        assert_eq!(parse(Property::int("i", "0"), "+5"), Ok(Value::Integer(5)));
        for bad in ["", "x", "5.0", "99999999999", "2147483648"] {
            assert_eq!(
                parse(Property::int("i", "0"), bad),
                Err(Reason::NotANumber("INT")),
                "{bad}"
            );
        }
        assert_eq!(
            parse(Property::long("l", "0"), "99999999999"),
            Ok(Value::Integer(99_999_999_999))
        );
        assert_eq!(
            parse(Property::list("l", ""), "a , b"),
            Ok(Value::List(vec!["a".to_owned(), "b".to_owned()]))
        );
        assert_eq!(parse(Property::list("l", ""), "  "), Ok(Value::List(Vec::new())));
        assert_eq!(parse(Property::text("t", ""), " x "), Ok(Value::Text("x".to_owned())));
    }

    #[test]
    fn checks_hold_at_their_edges() {
        let from_one = Property::int("i", "1").at_least(1);
        assert_eq!(from_one.parse("1"), Ok(Value::Integer(1)));
        assert_eq!(from_one.parse("0"), Err(Reason::BelowMin(1)));
        let exact = Property::text("t", "").one_of(&["updateLookup"]).or_empty();
        assert!(exact.parse("").is_ok() && exact.parse("updateLookup").is_ok());
        assert_eq!(exact.parse("updatelookup"), Err(Reason::NotOneOf(&["updateLookup"])));
        let any_case = Property::text("t", "json").one_of_any_case(&["json"]);
        assert!(any_case.parse("JSON").is_ok());
        assert!(any_case.parse("").is_err());
    }

    #[test]
    fn property_not_supported_yet_is_refused_only_away_from_its_default() {
        let table = [Property::text("errors.tolerance", "none")
            .one_of_any_case(&["none", "all"])
            .not_yet("later")];
        let table: &'static [Property] = Box::leak(Box::new(table));
        for (text, problems) in [("none", 0), ("NONE", 0), (" none ", 0), ("all", 1), ("x", 1)] {
            let given = BTreeMap::from([("errors.tolerance".to_owned(), text.to_owned())]);
            let mut report = Report::new(false, Vec::new());
            check_all(table.iter(), &given, "", &mut report);
            let result =
                report.finish("c".as_ref(), super::super::error::Subject::Connector, Some(()));
            assert_eq!(result.is_err(), problems == 1, "{text}");
        }
    }

    #[test]
    fn likely_spelling_is_found_and_an_unlikely_one_is_not() {
        let known = ["publish.full.document.only", "pipeline", "batch.size"];
        assert_eq!(
            nearest("publish.full.documents.only", known),
            Some("publish.full.document.only")
        );
        assert_eq!(nearest("pipelin", known), Some("pipeline"));
        assert_eq!(nearest("bacth.size", known), Some("batch.size"));
        assert_eq!(nearest("something.else", known), None);
    }
}
