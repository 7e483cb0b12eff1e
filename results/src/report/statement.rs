//! The two statements that every report carries, `METHODOLOGY.md` and `BIAS.md`, as HTML.
//!
//! ```text
//! # ## ###      headings, two levels deeper, so that they stand below the page's own
//! * 1.          lists, a following line indented
//! | a | b |     tables; the second line is the rule
//! ```          as it stands
//! `code` **strong**
//! ```
//!
//! Only what those two files use is known; a test holds them to it. Links are written as their text: the page leads
//! nowhere.

use maud::{Markup, html};

/// The text of a file as it lies in the repository.
pub(super) const METHODOLOGY: &str = include_str!("../../../METHODOLOGY.md");
/// Likewise.
pub(super) const BIAS: &str = include_str!("../../../BIAS.md");

/// One block of a text.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    Heading { level: usize, text: String },
    Paragraph(String),
    Bullets(Vec<String>),
    Steps(Vec<String>),
    Table { head: Vec<String>, rows: Vec<Vec<String>> },
    Code(String),
}

/// All blocks but the first heading, which the page writes itself.
pub(super) fn html(text: &str) -> Markup {
    let blocks = blocks(text);
    let rest = match blocks.first() {
        Some(Block::Heading { level: 1, .. }) => &blocks[1..],
        Some(_) | None => &blocks[..],
    };
    html! { @for block in rest { (block.html()) } }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            debug_assert!(!language.contains('`'), "inline fences are not known");
            let code: Vec<&str> =
                lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            blocks.push(Block::Code(code.join("\n")));
        } else if line.trim().is_empty() {
            continue;
        } else {
            let mut piece = vec![line];
            while let Some(next) =
                lines.next_if(|next| !next.trim().is_empty() && !next.starts_with("```"))
            {
                piece.push(next);
            }
            blocks.extend(block(&piece));
        }
    }
    blocks
}

/// What lies between two empty lines; a heading may stand on the text below it.
fn block(lines: &[&str]) -> Vec<Block> {
    let [first, rest @ ..] = lines else { return Vec::new() };
    let level = first.chars().take_while(|c| *c == '#').count();
    if level != 0 {
        let heading = Block::Heading { level, text: first[level..].trim().to_owned() };
        return std::iter::once(heading).chain(block(rest)).collect();
    }
    let found = if first.starts_with('|') {
        table(lines)
    } else if first.starts_with("* ") {
        Block::Bullets(items(lines, |line| line.strip_prefix("* ")))
    } else if first.starts_with("1. ") {
        Block::Steps(items(lines, |line| {
            let (number, rest) = line.split_once(". ")?;
            number.bytes().all(|digit| digit.is_ascii_digit()).then_some(rest)
        }))
    } else {
        Block::Paragraph(lines.join(" "))
    };
    vec![found]
}

fn items(lines: &[&str], begin: impl Fn(&str) -> Option<&str>) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in lines {
        match (begin(line), items.last_mut()) {
            (Some(text), _) => items.push(text.to_owned()),
            (None, Some(item)) => item.push_str(&format!(" {}", line.trim())),
            (None, None) => items.push(line.trim().to_owned()),
        }
    }
    items
}

fn table(lines: &[&str]) -> Block {
    let cells = |line: &&str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let head = lines.first().map(cells).unwrap_or_default();
    Block::Table { head, rows: lines.iter().skip(2).map(cells).collect() }
}

impl Block {
    fn html(&self) -> Markup {
        match self {
            Self::Heading { level: ..=2, text } => html! { h4 { (inline(text)) } },
            Self::Heading { text, .. } => html! { h5 { (inline(text)) } },
            Self::Paragraph(text) => html! { p { (inline(text)) } },
            Self::Bullets(items) => html! { ul { @for item in items { li { (inline(item)) } } } },
            Self::Steps(items) => html! { ol { @for item in items { li { (inline(item)) } } } },
            Self::Code(text) => html! { pre { (text) } },
            Self::Table { head, rows } => html! {
                div.scroll { table.prose {
                    thead { tr { @for cell in head { th scope="col" { (inline(cell)) } } } }
                    tbody { @for row in rows { tr { @for cell in row { td { (inline(cell)) } } } } }
                } }
            },
        }
    }
}

/// Code between back quotes, strong words between double stars, links as their text.
fn inline(text: &str) -> Markup {
    html! {
        @for (place, piece) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (piece) } } @else {
                @for (place, piece) in piece.split("**").enumerate() {
                    @if place % 2 == 1 { strong { (without_links(piece)) } } @else { (without_links(piece)) }
                }
            }
        }
    }
}

/// `[text](target)` as `text`.
fn without_links(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after
            .split_once("](")
            .and_then(|(label, after)| Some((label, after.split_once(')')?.1)));
        let Some((label, after)) = link else { break };
        shown.push_str(before);
        shown.push_str(label);
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_told_apart() {
        let text = "# Head\n\nOne\ntwo.\n\n## Sub\n* a\n  more\n* b\n\n1. x\n2. y\n\n\
                    | h | i |\n|---|---|\n| 1 | 2 |\n\n\
                    ```sh\na < b\n\n```\n";
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let expected = [
            Block::Heading { level: 1, text: "Head".into() },
            Block::Paragraph("One two.".into()),
            Block::Heading { level: 2, text: "Sub".into() },
            Block::Bullets(own(&["a more", "b"])),
            Block::Steps(own(&["x", "y"])),
            Block::Table { head: own(&["h", "i"]), rows: vec![own(&["1", "2"])] },
            Block::Code("a < b\n".into()),
        ];
        assert_eq!(blocks(text), expected);
        assert!(html(text).into_string().contains("<pre>a &lt; b\n</pre>"));
    }

    #[test]
    fn words_keep_their_weight_and_links_only_their_text() {
        let text = inline("a **b** `c<d` [e](f.md) [g").into_string();
        assert_eq!(text, "a <strong>b</strong> <code>c&lt;d</code> e [g");
    }

    #[test]
    fn the_statements_use_nothing_that_is_not_known() {
        for (name, text) in [("METHODOLOGY.md", METHODOLOGY), ("BIAS.md", BIAS)] {
            let page = html(text).into_string();
            // What was not understood would be left as it was written.
            for sign in ["**", "`", "](", "\n* ", "|--", "<p>|", "<p>#", "<p>- ", " _"] {
                assert!(!page.contains(sign), "{name}: {sign:?} is left over");
            }
            assert!(page.contains("<h4>") && page.len() > 3_000, "{name}");
        }
    }
}
