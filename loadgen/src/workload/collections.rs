//! Where documents lie: one collection, some named ones, or thousands whose names are derived.

use std::borrow::Cow;
use std::fmt;

/// The collections of a workload. Key n of a writer lies in collection n modulo their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collections {
    /// By name, at least one.
    Named(Vec<String>),
    /// `prefix` with a number behind it: `orders_00000`, `orders_00001`, …
    Numbered {
        /// What all names begin with.
        prefix: String,
        /// How many, at least one.
        count: u32,
    },
}

impl Collections {
    /// One.
    pub fn one(name: impl Into<String>) -> Self {
        Self::Named(vec![name.into()])
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Named(names) => names.len(),
            Self::Numbered { count, .. } => *count as usize,
        }
    }

    /// The name of a collection below [`Self::count`].
    pub fn name(&self, index: usize) -> Cow<'_, str> {
        match self {
            Self::Named(names) => Cow::Borrowed(&names[index]),
            Self::Numbered { prefix, .. } => Cow::Owned(format!("{prefix}_{index:05}")),
        }
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        (0..self.count()).map(|index| self.name(index))
    }
}

impl From<Vec<String>> for Collections {
    fn from(names: Vec<String>) -> Self {
        Self::Named(names)
    }
}

impl fmt::Display for Collections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => f.write_str(&names.join(", ")),
            Self::Numbered { count, .. } => {
                let last = self.name((*count).saturating_sub(1) as usize);
                write!(f, "{} … {last}", self.name(0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_names_are_all_different_and_sorted() {
        let collections = Collections::Numbered { prefix: "orders".into(), count: 5_000 };
        let names: Vec<_> = collections.names().collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        assert_eq!((names.len(), &*names[4_999]), (5_000, "orders_04999"));
        assert_eq!(collections.to_string(), "orders_00000 … orders_04999");
    }
}
