//! When a write counts as done.

use std::fmt;
use std::str::FromStr;

use mongodb::options::{Acknowledgment, WriteConcern as DriverWriteConcern};

use crate::bson_writer::{BsonWriter, element};

/// What the server waits for before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteConcern {
    /// Which members have taken the write.
    pub acknowledgement: Acknowledgement,
    /// Whether their journals have to be on disk; `None` leaves it to the server.
    pub journal: Option<bool>,
}

/// Which members have taken a write. None at all is no choice: such a load would not know what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// More than half of those that vote.
    Majority,
    /// So many, at least one.
    Members(u32),
}

impl WriteConcern {
    /// `w: 1`
    pub const ONE: Self = Self { acknowledgement: Acknowledgement::Members(1), journal: None };
    /// `w: "majority"`
    pub const MAJORITY: Self = Self { acknowledgement: Acknowledgement::Majority, journal: None };

    pub(super) fn for_driver(self) -> DriverWriteConcern {
        let w = match self.acknowledgement {
            Acknowledgement::Majority => Acknowledgment::Majority,
            Acknowledgement::Members(members) => Acknowledgment::Nodes(members),
        };
        let mut concern = DriverWriteConcern::builder().w(w).build();
        concern.journal = self.journal;
        concern
    }

    /// The element `writeConcern` of a command.
    pub(super) fn push(self, writer: &mut BsonWriter) {
        writer.element(element::DOCUMENT, "writeConcern");
        let open = writer.open();
        match self.acknowledgement {
            Acknowledgement::Majority => {
                writer.element(element::STRING, "w");
                writer.string("majority");
            }
            Acknowledgement::Members(members) => {
                writer.element(element::INT32, "w");
                writer.i32(members.cast_signed());
            }
        }
        if let Some(journal) = self.journal {
            writer.element(element::BOOLEAN, "j");
            writer.raw(&[u8::from(journal)]);
        }
        writer.close_document(open);
    }
}

/// As a run record names it: `majority`, `1`, `majority j:true`.
impl fmt::Display for WriteConcern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.acknowledgement.fmt(f)?;
        self.journal.map_or(Ok(()), |journal| write!(f, " j:{journal}"))
    }
}

impl fmt::Display for Acknowledgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Majority => f.write_str("majority"),
            Self::Members(members) => members.fmt(f),
        }
    }
}

impl FromStr for Acknowledgement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// A replica set has no more.
        const MEMBERS_MAX: u32 = 50;
        match (text, text.parse()) {
            ("majority", _) => Ok(Self::Majority),
            (_, Ok(members)) if (1..=MEMBERS_MAX).contains(&members) => Ok(Self::Members(members)),
            _ => Err(format!("w: {text} is not possible: give majority, or 1 to {MEMBERS_MAX}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (text, expected) in
            [("majority", Acknowledgement::Majority), ("3", Acknowledgement::Members(3))]
        {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        for text in ["0", "51", "-1", "most", ""] {
            assert!(
                text.parse::<Acknowledgement>().unwrap_err().contains("give majority"),
                "{text}"
            );
        }
        let journaled = WriteConcern { journal: Some(true), ..WriteConcern::MAJORITY };
        assert_eq!(journaled.to_string(), "majority j:true");
    }

    #[test]
    fn the_element_says_what_the_driver_is_told() {
        for concern in [
            WriteConcern::ONE,
            WriteConcern::MAJORITY,
            WriteConcern { journal: Some(false), ..WriteConcern::ONE },
            WriteConcern { journal: Some(true), ..WriteConcern::MAJORITY },
        ] {
            let mut writer = BsonWriter::default();
            let open = writer.open();
            concern.push(&mut writer);
            writer.close_document(open);
            let command = bson::Document::from_reader(writer.into_bytes().as_slice()).unwrap();
            let expected = bson::serialize_to_document(&concern.for_driver()).unwrap();
            assert_eq!(command.get_document("writeConcern").unwrap(), &expected);
        }
    }
}
