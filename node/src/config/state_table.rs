//! The tables of properties as COMPAT.md shows them: name, type, default, and what becomes of each here.
//!
//! ```text
//! | `batch.size` | INT | `0` | supported |
//! | `topic.mapper` | STRING | `…DefaultTopicMapper` | refused: Java topic mappers cannot be loaded; … |
//! ```

use std::fmt::Write as _;

use super::connect_properties::{CONNECT_FAMILIES, CONNECT_PROPERTIES, Fate};
use super::own_properties::OWN_PROPERTIES;
use super::property::{Property, Support};
use super::source_properties::SOURCE_PROPERTIES;

/// Of a default; longer ones are cut.
const DEFAULT_CHARACTERS_MAX: usize = 100;
const HEAD: &str = "| property | type | default | here |\n|---|---|---|---|\n";

/// The connector's properties, those of Kafka Connect, and ours, each table under its title.
pub(crate) fn tables() -> String {
    let mut text = String::from("### Properties of the MongoDB connector\n\n");
    text.push_str(HEAD);
    SOURCE_PROPERTIES.iter().for_each(|property| row(property, &mut text));
    text.push_str("\n### Properties of Kafka Connect in a connector's file\n\n");
    text.push_str(HEAD);
    CONNECT_PROPERTIES.iter().for_each(|property| row(property, &mut text));
    for family in CONNECT_FAMILIES {
        let state = match family.fate {
            Fate::Read => "supported, each by its own name".to_owned(),
            Fate::Accepted(meaning) => format!("accepted: {meaning}"),
        };
        let _ = writeln!(text, "| `{}*` | | | {} |", family.prefix, cell(&state));
    }
    text.push_str("\n### Properties that Java does not know\n\n");
    text.push_str(HEAD);
    OWN_PROPERTIES.iter().for_each(|property| row(property, &mut text));
    text
}

fn row(property: &Property, text: &mut String) {
    let kind = property.kind.name();
    let default = match property.default {
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{}`", cell(&shortened(default))),
    };
    let state = match property.support {
        Support::Supported => "supported".to_owned(),
        Support::Only(values, why) => {
            format!("supported: {}; else refused: {why}", values.join(", "))
        }
        Support::Accepted(meaning) => format!("accepted: {meaning}"),
        Support::NotYet(why) => format!("refused: {why}"),
    };
    let _ = writeln!(text, "| `{}` | {kind} | {default} | {} |", property.name, cell(&state));
}

/// A default that is a whole document: its beginning, on one line.
fn shortened(default: &str) -> String {
    let words: Vec<&str> = default.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(DEFAULT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_has_one_row_of_four_cells() {
        let tables = tables();
        for property in SOURCE_PROPERTIES.iter().chain(CONNECT_PROPERTIES).chain(OWN_PROPERTIES) {
            let begin = format!("| `{}` |", property.name);
            let rows: Vec<_> = tables.lines().filter(|line| line.starts_with(&begin)).collect();
            assert_eq!(rows.len(), 1, "{begin}");
            assert_eq!(rows[0].replace("\\|", "").matches('|').count(), 5, "{}", rows[0]);
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        let refused = tables();
        let refused: Vec<_> = refused.lines().filter(|line| line.contains("refused")).collect();
        assert!(!refused.is_empty() && refused.iter().all(|line| line.contains("refused: ")));
    }
}
