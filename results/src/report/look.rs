//! How an arm looks in every chart: colour, line and marker belong to its name.
//!
//! ```text
//! node-*         blue, green       solid
//! connector-*    orange, brown     dashed
//! others         purple, violet    dash and dot
//! null-*         greys             long dashes, dots
//! ```
//!
//! Hue says whose arm it is, dash and marker say which, so that neither a reader who does not see the hue nor a printer
//! without ink is lost. Colours live in the style sheet, as `.k0` and so on.

/// Looks that have a name; the style sheet has a class for each, and for those below.
const NAMED: [(&str, Look); 10] = [
    ("node-json", Look::new("k0", Marker::Circle)),
    ("node-bson", Look::new("k1", Marker::Square)),
    ("connector-default", Look::new("k2", Marker::Up)),
    ("connector-tuned", Look::new("k3", Marker::Diamond)),
    ("connector-bson", Look::new("k4", Marker::Down)),
    ("debezium", Look::new("k5", Marker::Square)),
    ("straight-line", Look::new("k6", Marker::Circle)),
    ("null-reader", Look::new("k7", Marker::Plus)),
    ("null-writer", Look::new("k8", Marker::Cross)),
    ("null-path", Look::new("k9", Marker::Plus)),
];
/// Looks of arms that nobody knew of, in the order of their coming.
const SPARE: [Look; 4] = [
    Look::new("k10", Marker::Up),
    Look::new("k11", Marker::Down),
    Look::new("k12", Marker::Diamond),
    Look::new("k13", Marker::Cross),
];

/// Class of the style sheet, and marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub class: &'static str,
    pub marker: Marker,
}

/// The shape at a measured point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Diamond,
    Up,
    Down,
    Plus,
    Cross,
}

/// The looks of the arms of a report.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    unnamed: Vec<String>,
}

impl Look {
    const fn new(class: &'static str, marker: Marker) -> Self {
        Self { class, marker }
    }

    /// A line that no arm drew, such as "all that was offered".
    pub(super) const REFERENCE: Self = Self::new("kr", Marker::Cross);
}

impl Marker {
    pub(super) const ALL: [Self; 7] =
        [Self::Circle, Self::Square, Self::Diamond, Self::Up, Self::Down, Self::Plus, Self::Cross];

    /// Name of its drawing in the page.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Circle => "m-circle",
            Self::Square => "m-square",
            Self::Diamond => "m-diamond",
            Self::Up => "m-up",
            Self::Down => "m-down",
            Self::Plus => "m-plus",
            Self::Cross => "m-cross",
        }
    }

    /// Its outline around 0,0; px.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Circle => "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
            Self::Square => "M-3.2 -3.2h6.4v6.4h-6.4z",
            Self::Diamond => "M0 -4.6L4.6 0L0 4.6L-4.6 0z",
            Self::Up => "M0 -4.4L4.2 3.2H-4.2z",
            Self::Down => "M0 4.4L4.2 -3.2H-4.2z",
            Self::Plus => "M-4.5 -1.1h3.4v-3.4h2.2v3.4h3.4v2.2h-3.4v3.4h-2.2v-3.4h-3.4z",
            Self::Cross => {
                "M-4 -2.5L-2.5 -4L0 -1.5L2.5 -4L4 -2.5L1.5 0L4 2.5L2.5 4L0 1.5L-2.5 4L-4 2.5L-1.5 0z"
            }
        }
    }
}

impl Looks {
    /// For all arms that a report shows.
    pub(super) fn of_arms<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut unnamed: Vec<String> = Vec::new();
        for name in names {
            let known = NAMED.iter().any(|(named, _)| *named == name);
            if !known && !unnamed.iter().any(|other| other == name) {
                unnamed.push(name.to_owned());
            }
        }
        Self { unnamed }
    }

    pub(super) fn of(&self, name: &str) -> Look {
        if let Some((_, look)) = NAMED.iter().find(|(named, _)| *named == name) {
            return *look;
        }
        let place = self.unnamed.iter().position(|other| other == name).unwrap_or(0);
        SPARE[place % SPARE.len()]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_arms_look_alike() {
        let names = NAMED.iter().map(|(name, _)| *name).chain(["a", "b", "c", "d"]);
        let looks = Looks::of_arms(names.clone());
        let classes: BTreeSet<_> = names.map(|name| looks.of(name).class).collect();
        assert_eq!(classes.len(), NAMED.len() + SPARE.len());
    }

    #[test]
    fn every_look_has_its_colour_in_the_style_sheet() {
        let style = include_str!("style.css");
        let all = NAMED.iter().map(|(_, look)| *look).chain(SPARE).chain([Look::REFERENCE]);
        for look in all {
            assert!(style.contains(&format!(".{} ", look.class)), "{look:?}");
        }
    }
}
