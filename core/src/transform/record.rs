//! A record on its way to the converters: `org.apache.kafka.connect.source.SourceRecord`.

use crate::connect::Datum;

/// See the module. Partition and timestamp are none, always.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it goes.
    pub topic: String,
    /// Its key.
    pub key: Datum,
    /// Its value.
    pub value: Datum,
    /// In their order; a name may occur more than once.
    pub headers: Vec<Header>,
}

/// A header.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: Datum,
}

/// The part of a record that a transformation works on: `…$Key` or `…$Value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Side {
    Key,
    Value,
}

impl Record {
    /// That part.
    pub fn side(&self, side: Side) -> &Datum {
        match side {
            Side::Key => &self.key,
            Side::Value => &self.value,
        }
    }

    /// Changes that part.
    pub(super) fn side_mut(&mut self, side: Side) -> &mut Datum {
        match side {
            Side::Key => &mut self.key,
            Side::Value => &mut self.value,
        }
    }

    /// Takes that part out; a null is left in its place.
    pub(super) fn take(&mut self, side: Side) -> Datum {
        std::mem::replace(self.side_mut(side), Datum::NULL)
    }
}
