//! `collation`: how the stages of the pipeline compare texts.
//!
//! ```text
//!  {"strength": 2, "locale": "de", "x": 1}  ─►  { locale: "de", strength: 2 }
//! ```
//!
//! Fields are those of the driver's `Collation`, in its order; others are passed over, as in Java. What
//! the fields mean, and that a locale is needed, is the server's business.

use mongodb::bson::{Bson, Document};

use super::error::{Reason, Shown};
use super::extended_json::document_from_json;
use super::report::Report;

const PROPERTY: &str = "collation";

/// What a field may hold.
enum Field {
    Text,
    Flag,
    /// From 1 to 5.
    Strength,
    /// One of these, and how the driver calls it.
    OneOf(&'static [&'static str], &'static str),
}

/// The fields in the driver's order.
const FIELDS: [(&str, Field); 9] = [
    ("locale", Field::Text),
    ("caseLevel", Field::Flag),
    ("caseFirst", Field::OneOf(&["upper", "lower", "off"], "collationCaseFirst")),
    ("strength", Field::Strength),
    ("numericOrdering", Field::Flag),
    ("alternate", Field::OneOf(&["non-ignorable", "shifted"], "collationAlternate")),
    ("maxVariable", Field::OneOf(&["punct", "space"], "collationMaxVariable")),
    ("normalization", Field::Flag),
    ("backwards", Field::Flag),
];

/// The collation as raw BSON; `Ok(None)` if there is none, `Err` if it was refused.
pub(super) fn parse_collation(text: &str, report: &mut Report) -> Result<Option<Vec<u8>>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    match read(text) {
        Ok(collation) => Ok(Some(collation)),
        Err(reason) => {
            report.refuse(PROPERTY, Shown::Text(text.to_owned()), reason);
            Err(Refused)
        }
    }
}

/// The report says why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

fn read(text: &str) -> Result<Vec<u8>, Reason> {
    let given = document_from_json(text).map_err(Reason::NotADocument)?;
    let mut collation = Document::new();
    for (name, field) in FIELDS {
        let Some(value) = given.get(name).filter(|value| **value != Bson::Null) else { continue };
        check(name, &field, value)?;
        collation.insert(name, value.clone());
    }
    collation.to_vec().map_err(|error| Reason::Collation(error.to_string()))
}

fn check(name: &str, field: &Field, value: &Bson) -> Result<(), Reason> {
    let wrong = match (field, value) {
        (Field::Text, Bson::String(_)) | (Field::Flag, Bson::Boolean(_)) => return Ok(()),
        (Field::Strength, Bson::Int32(1..=5)) => return Ok(()),
        (Field::OneOf(names, _), Bson::String(text)) if names.contains(&text.as_str()) => {
            return Ok(());
        }
        (Field::Strength, Bson::Int32(strength)) => {
            format!("{strength} is not a valid collation strength")
        }
        (Field::OneOf(_, kind), Bson::String(text)) => format!("'{text}' is not a valid {kind}"),
        (Field::Text | Field::OneOf(..), _) => format!("{name} must be a text"),
        (Field::Flag, _) => format!("{name} must be true or false"),
        (Field::Strength, _) => format!("{name} must be a number from 1 to 5"),
    };
    Err(Reason::Collation(wrong))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::super::source_check::tests::{error, source};
    use super::*;

    fn collation(text: &str) -> Option<Document> {
        let bytes = source(&format!("collation={text}"), true).unwrap().0.collation?;
        Some(Document::from_reader(bytes.as_slice()).unwrap())
    }

    #[test]
    fn fields_are_put_in_the_order_of_the_driver_and_others_left_out() {
        let got = collation(
            r#"{"backwards": true, "locale": "de", "strength": 2, "caseFirst": "upper", "other": 1,
               "alternate": "shifted", "maxVariable": "punct", "numericOrdering": true,
               "normalization": false, "caseLevel": true}"#
                .replace('\n', " ")
                .as_str(),
        );
        let want = doc! {
            "locale": "de", "caseLevel": true, "caseFirst": "upper", "strength": 2,
            "numericOrdering": true, "alternate": "shifted", "maxVariable": "punct",
            "normalization": false, "backwards": true,
        };
        assert_eq!(got.map(|got| got.to_string()), Some(want.to_string()));
        assert_eq!(collation("{}"), Some(doc! {}));
        assert_eq!(collation("{locale: null}"), Some(doc! {}));
        assert_eq!(collation(""), None);
    }

    #[test]
    fn wrong_fields_are_refused_by_name() {
        for (text, reason) in [
            ("{\"strength\": 9}", "9 is not a valid collation strength"),
            ("{\"caseFirst\": \"mixed\"}", "'mixed' is not a valid collationCaseFirst"),
            ("{\"alternate\": \"x\"}", "'x' is not a valid collationAlternate"),
            ("{\"maxVariable\": \"x\"}", "'x' is not a valid collationMaxVariable"),
            ("{\"locale\": 1}", "locale must be a text"),
            ("{\"strength\": 2.0}", "strength must be a number from 1 to 5"),
            ("{\"backwards\": \"x\"}", "backwards must be true or false"),
            ("[]", "Not a valid JSON document: the text is no document"),
        ] {
            let error = error(&format!("collation={text}"));
            let want = format!("Invalid value {text} for configuration collation: {reason}");
            assert!(error.ends_with(&want), "{error}");
        }
    }
}
