//! `${provider:path:key}` and `${provider:key}` in the value of a property.
//!
//! ```text
//! mongodb://app:${file:/run/secrets/db.properties:password}@db.example
//! └─ text ────┘ └────────── placeholder ─────────────────┘ └─ text ──┘
//!                  file │ /run/secrets/db.properties │ password
//! ```
//!
//! Java's rules (`ConfigTransformer.DEFAULT_PATTERN`): a placeholder ends at the first `}`, the provider at the first
//! colon and the path at the second one; what follows is the key, colons included. Without a colon it is text.

/// One placeholder, whoever could fill it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placeholder<'a> {
    /// All of it.
    pub(super) text: &'a str,
    pub(super) provider: &'a str,
    /// Empty if there is none.
    pub(super) path: &'a str,
    pub(super) key: &'a str,
}

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Placeholder(Placeholder<'a>),
}

/// The parts of `value`, which together are all of it.
pub(super) fn pieces(value: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let (piece, behind) = first_piece(rest)?;
        rest = behind;
        Some(piece)
    })
}

/// The placeholders of `value`.
pub(super) fn placeholders(value: &str) -> impl Iterator<Item = Placeholder<'_>> {
    pieces(value).filter_map(|piece| match piece {
        Piece::Placeholder(placeholder) => Some(placeholder),
        Piece::Text(_) => None,
    })
}

/// The first part of `text` and what is behind it; `None`: there is nothing any more.
fn first_piece(text: &str) -> Option<(Piece<'_>, &str)> {
    if text.is_empty() {
        return None;
    }
    let begin = text.find("${").unwrap_or(text.len());
    let (before, rest) = text.split_at_checked(begin)?;
    if !before.is_empty() {
        return Some((Piece::Text(before), rest));
    }
    let Some(end) = rest.find('}') else { return Some((Piece::Text(rest), "")) };
    let (whole, behind) = rest.split_at_checked(end + 1)?;
    let inside = whole.strip_prefix("${").and_then(|inside| inside.strip_suffix('}'))?;
    let Some((provider, rest)) = inside.split_once(':') else {
        return Some((Piece::Text(whole), behind));
    };
    let (path, key) = rest.split_once(':').unwrap_or(("", rest));
    Some((Piece::Placeholder(Placeholder { text: whole, provider, path, key }), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str) -> Vec<[&str; 3]> {
        placeholders(value).map(|it| [it.provider, it.path, it.key]).collect()
    }

    #[test]
    fn provider_path_and_key_are_parted_where_java_parts_them() {
        assert_eq!(found("${file:/a/b.properties:key}"), [["file", "/a/b.properties", "key"]]);
        assert_eq!(found("${env:HOME}"), [["env", "", "HOME"]]);
        assert_eq!(found("${f:p:a:b}"), [["f", "p", "a:b"]], "a key may have colons");
        assert_eq!(found("${f:p:}${:}"), [["f", "p", ""], ["", "", ""]]);
        assert_eq!(found("a${x:y}b${x:z}c"), [["x", "", "y"], ["x", "", "z"]]);
        assert_eq!(found("${a${b:c}}"), [["a${b", "", "c"]], "it ends at the first brace");
        assert_eq!(found("${plain} $x:y} ${x:y"), [[""; 3]; 0]);
        assert_eq!(found("${plain}${x:y}"), [["x", "", "y"]]);
        assert_eq!(found("${a:b\nc:d}"), [["a", "b\nc", "d"]], "lines do not matter");
    }

    #[test]
    fn the_pieces_are_the_whole_value() {
        for value in ["", "x", "${a:b}", "x${a:b:c}y${}z${d", "ä${ö:ü}ß", "$${a:b}}", "${a}${b:c}"]
        {
            let together: String = pieces(value)
                .map(|piece| match piece {
                    Piece::Text(text) | Piece::Placeholder(Placeholder { text, .. }) => text,
                })
                .collect();
            assert_eq!(together, value);
        }
    }
}
