//! A strict reader of the page: every tag is closed, every attribute quoted, every sign escaped.
//!
//! Stricter than HTML, which forgives everything: what this reader takes, every browser reads alike.

/// Elements that have no end.
const VOID: [&str; 2] = ["meta", "br"];
/// Elements whose content is not markup.
const RAW: [&str; 2] = ["style", "script"];

/// An element, in the order of its beginning.
#[derive(Debug)]
pub(super) struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// All elements of `page`, or what is wrong with it.
pub(super) fn elements(page: &str) -> Result<Vec<Element>, String> {
    let mut found = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").ok_or("no document type")?;
    while let Some((text, tag_on)) = rest.split_once('<') {
        plain(text)?;
        let (tag, after) =
            tag_on.split_once('>').ok_or_else(|| format!("a tag has no end: {tag_on:.40}"))?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let expected = open.pop().ok_or_else(|| format!("</{name}> closes nothing"))?;
            if expected != name {
                return Err(format!("</{name}> closes <{expected}>"));
            }
            continue;
        }
        let element = element(tag)?;
        if RAW.contains(&element.name.as_str()) {
            let end = format!("</{}>", element.name);
            rest = rest.split_once(&end).ok_or_else(|| format!("no {end}"))?.1;
        } else if !VOID.contains(&element.name.as_str()) {
            open.push(element.name.clone());
        }
        found.push(element);
    }
    plain(rest)?;
    if open.is_empty() { Ok(found) } else { Err(format!("never closed: {open:?}")) }
}

fn element(tag: &str) -> Result<Element, String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(format!("no name of an element: {name:?}"));
    }
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !rest.is_empty() {
        let (attribute, after) = rest
            .split_once("=\"")
            .ok_or_else(|| format!("an attribute without a quoted value: {rest:?}"))?;
        let (value, after) =
            after.split_once('"').ok_or_else(|| format!("no end of {attribute}"))?;
        plain(value)?;
        if attributes.iter().any(|(other, _)| other == attribute) {
            return Err(format!("{attribute} twice in <{tag}>"));
        }
        attributes.push((attribute.to_owned(), value.to_owned()));
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Ok(Element { name: name.to_owned(), attributes })
}

/// Text without a sign that would have to be escaped.
fn plain(text: &str) -> Result<(), String> {
    let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
    let bare = text
        .match_indices('&')
        .find(|(at, _)| !entities.iter().any(|entity| text[*at..].starts_with(entity)));
    match bare {
        Some((at, _)) => {
            Err(format!("a bare & in {:?}", &text[at..].chars().take(40).collect::<String>()))
        }
        None if text.contains('>') => Err(format!("a bare > in {text:?}")),
        None => Ok(()),
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let page = |body: &str| elements(&format!("<!DOCTYPE html><p>{body}</p>"));
    assert_eq!(page("<b class=\"x\">1 &lt; 2</b>").map(|found| found.len()), Ok(2));
    for broken in [
        "<b>",
        "</b>",
        "<b></i>",
        "a & b",
        "a > b",
        "<b x=1></b>",
        "<b x=\"1\" x=\"2\"></b>",
        "<",
        "<b x=\"&\"></b>",
    ] {
        assert!(page(broken).is_err(), "{broken}");
    }
}
