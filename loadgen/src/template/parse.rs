//! Reads a template from JSON. Whatever is wrong is found while the text is read, so every error knows its line.

use std::collections::BTreeSet;
use std::fmt;

use bson::DateTime;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{IntWidth, Node};

/// Fields that every document has by itself, and those of deltas.
const OWN_FIELDS: [&str; 8] = ["_id", "v", "count", "list", "maybe0", "maybe1", "maybe2", "maybe3"];
const GENERATORS: &str =
    "$int, $long, $double, $string, $binary, $date, $oid, $bool, $choice, $array";
/// Largest text, list or binary; the server takes 16 MiB in all.
const LENGTH_MAX: u32 = 16 << 20;

/// The fields of the outermost document.
pub(super) fn fields(source: &str) -> Result<Vec<(String, Node)>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(source);
    let node = At(&Path::Root).deserialize(&mut deserializer)?;
    deserializer.end()?;
    let Node::Fields(fields) = node else {
        return Err(Error::custom("a template is a document { … }"));
    };
    Ok(fields)
}

/// Where a value stands.
enum Path<'a> {
    Root,
    Within(&'a Self, &'a str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the template"),
            Self::Within(Self::Root, name) => write!(f, "field `{name}`"),
            Self::Within(outer, name) => write!(f, "{outer} / `{name}`"),
        }
    }
}

/// Reads the value that stands there.
struct At<'a>(&'a Path<'a>);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for {}", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(i32::try_from(value).map_or(Node::Int64(value), Node::Int32))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::custom(format!("{}: {value} is larger than an Int64", self.0))),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Double(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element_seed(At(&Path::Within(self.0, "[…]")))? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        let mut names = BTreeSet::new();
        let is_root = matches!(self.0, Path::Root);
        while let Some(name) = map.next_key::<String>()? {
            if name.starts_with('$') && fields.is_empty() && !is_root {
                let node = generator(&name, &mut map, self.0)?;
                return match map.next_key::<String>()? {
                    None => Ok(node),
                    Some(other) => Err(A::Error::custom(format!(
                        "{}: `{other}` stands beside {name}: a generator stands alone",
                        self.0
                    ))),
                };
            }
            let path = Path::Within(self.0, &name);
            if name.starts_with('$') || name.contains(['.', '\0']) {
                let fault = "a name has no `.` or NUL and does not begin with `$`";
                return Err(A::Error::custom(format!("{path}: {fault}")));
            }
            if is_root && OWN_FIELDS.contains(&name.as_str()) {
                let fault = "the load generator writes a field of this name itself: rename it";
                return Err(A::Error::custom(format!("{path}: {fault}")));
            }
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("{path}: it comes twice")));
            }
            let node = map.next_value_seed(At(&path))?;
            fields.push((name, node));
        }
        Ok(Node::Fields(fields))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range<T> {
    min: T,
    max: T,
}

/// One number stands for both ends.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number, or { \"min\": …, \"max\": … }")]
enum Length {
    Exactly(u32),
    Between(Range<u32>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The value behind the name of a generator.
fn generator<'de, A: MapAccess<'de>>(
    name: &str,
    map: &mut A,
    path: &Path<'_>,
) -> Result<Node, A::Error> {
    let fault = |fault: &dyn fmt::Display| A::Error::custom(format!("{path}, {name}: {fault}"));
    let ordered = |ordered: bool| {
        if ordered { Ok(()) } else { Err(fault(&"min is larger than max")) }
    };
    match name {
        "$int" => {
            let Range { min, max } = map.next_value::<Range<i32>>().map_err(|e| fault(&e))?;
            ordered(min <= max)?;
            Ok(Node::AnyInt { min: min.into(), max: max.into(), width: IntWidth::Int32 })
        }
        "$long" => {
            let Range { min, max } = map.next_value::<Range<i64>>().map_err(|e| fault(&e))?;
            ordered(min <= max)?;
            Ok(Node::AnyInt { min, max, width: IntWidth::Int64 })
        }
        "$double" => {
            let Range { min, max } = map.next_value::<Range<f64>>().map_err(|e| fault(&e))?;
            ordered(min <= max)?;
            Ok(Node::AnyDouble { min, max })
        }
        "$string" | "$binary" => {
            let (min, max) = match map.next_value::<Length>().map_err(|e| fault(&e))? {
                Length::Exactly(bytes) => (bytes, bytes),
                Length::Between(Range { min, max }) => (min, max),
            };
            ordered(min <= max)?;
            if LENGTH_MAX < max {
                return Err(fault(&format_args!("{max} bytes are more than {LENGTH_MAX}")));
            }
            let text = name == "$string";
            Ok(if text { Node::AnyText { min, max } } else { Node::AnyBinary { min, max } })
        }
        "$date" => {
            let Range { min, max } = map.next_value::<Range<String>>().map_err(|e| fault(&e))?;
            let read = |text: &str| {
                let date = DateTime::parse_rfc3339_str(text);
                date.map(DateTime::timestamp_millis).map_err(|_| {
                    fault(&format_args!("{text:?} is no date such as 2024-01-31T00:00:00Z"))
                })
            };
            let (min_ms, max_ms) = (read(&min)?, read(&max)?);
            ordered(min_ms <= max_ms)?;
            Ok(Node::AnyDate { min_ms, max_ms })
        }
        "$oid" => map.next_value::<Nothing>().map(|_| Node::AnyObjectId).map_err(|e| fault(&e)),
        "$bool" => map.next_value::<Nothing>().map(|_| Node::AnyBool).map_err(|e| fault(&e)),
        "$choice" => {
            let nodes = map.next_value_seed(At(&Path::Within(path, name)))?;
            let Node::List(nodes) = nodes else { return Err(fault(&"give a list of values")) };
            if nodes.is_empty() {
                return Err(fault(&"give a list of at least one value"));
            }
            Ok(Node::Choice(nodes))
        }
        "$array" => map.next_value_seed(ListAt(path)),
        _ => Err(fault(&format_args!("no such generator; there are {GENERATORS}"))),
    }
}

/// Reads what stands behind `$array`.
struct ListAt<'a>(&'a Path<'a>);

impl<'de> DeserializeSeed<'de> for ListAt<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ListAt<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ \"min\": …, \"max\": …, \"of\": … }} for {}, $array", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let path = Path::Within(self.0, "$array");
        let (mut min, mut max, mut of) = (None, None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "min" => min = Some(map.next_value::<u32>()?),
                "max" => max = Some(map.next_value::<u32>()?),
                "of" => of = Some(map.next_value_seed(At(&path))?),
                other => {
                    return Err(A::Error::custom(format!(
                        "{path}: `{other}` is none of min, max, of"
                    )));
                }
            }
        }
        match (min, max, of) {
            (Some(min), Some(max), Some(of)) if min <= max && max <= LENGTH_MAX => {
                Ok(Node::AnyList { min, max, of: Box::new(of) })
            }
            (Some(_), Some(_), Some(_)) => {
                Err(A::Error::custom(format!("{path}: min is larger than max, or max too large")))
            }
            _ => Err(A::Error::custom(format!("{path}: give min, max and of"))),
        }
    }
}
