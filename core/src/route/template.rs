//! The value of an expression in `topic.namespace.map`: text with variables in braces.
//!
//! | variable | with a collection | without |
//! |---|---|---|
//! | `{db}` | `shop` | `shop` |
//! | `{sep}` | `-` | `-` |
//! | `{coll}` | `orders` | |
//! | `{sep_coll}` | `-orders` | |
//! | `{coll_sep}` | `orders-` | |
//! | `{sep_coll_sep}` | `-orders-` | |
//!
//! The case counts. A brace that belongs to no variable is a mistake, as in Java.

use std::fmt;

/// A mistake in a template. The messages are Java's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A brace without its partner, or inside another pair.
    Brace(char),
    /// No variable has this name.
    Variable(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brace(brace) => {
                write!(f, "Variable expansion syntax is violated, unexpected '{brace}'")
            }
            Self::Variable(name) => write!(f, "{name} is not a supported variable name"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Database,
    /// The collection with a separator at these sides, or nothing where there is none.
    Collection {
        before: bool,
        after: bool,
    },
}

/// See the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

impl Template {
    pub(super) fn new(text: &str, separator: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(at);
            parts.push(Part::Text(before.to_owned()));
            let Some(inside) = from_brace.strip_prefix('{') else {
                return Err(TemplateError::Brace('}'));
            };
            let Some((name, behind)) =
                inside.find(['{', '}']).and_then(|end| inside.split_at_checked(end))
            else {
                return Err(TemplateError::Brace('{'));
            };
            let Some(behind) = behind.strip_prefix('}') else {
                return Err(TemplateError::Brace('{'));
            };
            parts.push(match name {
                "db" => Part::Database,
                "sep" => Part::Text(separator.to_owned()),
                "coll" => Part::Collection { before: false, after: false },
                "sep_coll" => Part::Collection { before: true, after: false },
                "coll_sep" => Part::Collection { before: false, after: true },
                "sep_coll_sep" => Part::Collection { before: true, after: true },
                name => return Err(TemplateError::Variable(name.to_owned())),
            });
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self { parts })
    }

    /// Whether no namespace can make anything of it.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text for a namespace; `coll` is empty for a whole database.
    pub(super) fn fill(&self, db: &str, coll: &str, separator: &str) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Database => filled.push_str(db),
                Part::Collection { .. } if coll.is_empty() => {}
                Part::Collection { before, after } => {
                    filled.push_str(if *before { separator } else { "" });
                    filled.push_str(coll);
                    filled.push_str(if *after { separator } else { "" });
                }
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, coll: &str) -> String {
        Template::new(text, "-").expect("a template").fill("shop", coll, "-")
    }

    #[test]
    fn variables_are_filled_in_where_they_stand() {
        assert_eq!(fill("a{db}b{sep}c{coll}d", "orders"), "ashopb-cordersd");
        assert_eq!(fill("{sep_coll}{coll_sep}{sep_coll_sep}", "o"), "-oo--o-");
        assert_eq!(fill("{db}{sep_coll}", ""), "shop");
        assert_eq!(fill("{coll}{coll_sep}{sep_coll_sep}", ""), "");
        assert_eq!(fill("plain", "orders"), "plain");
    }

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        assert_eq!(Template::new("{coll}", "{db}").unwrap().fill("a", "{db}", "{db}"), "{db}");
    }

    #[test]
    fn braces_and_names_are_checked() {
        for (text, brace) in
            [("{", '{'), ("a{db", '{'), ("{{db}}", '{'), ("}", '}'), ("{db}}", '}')]
        {
            assert_eq!(Template::new(text, "."), Err(TemplateError::Brace(brace)), "{text}");
        }
        for name in ["", "DB", " db", "collection"] {
            let want = TemplateError::Variable(name.to_owned());
            assert_eq!(Template::new(&format!("{{{name}}}"), "."), Err(want));
        }
    }
}
