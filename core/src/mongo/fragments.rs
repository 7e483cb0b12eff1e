//! Events that the server has split, since they are larger than a BSON document may be.
//!
//! ```text
//!  { _id: t1, splitEvent: { fragment: 1, of: 2 }, operationType, ns, documentKey, … }     small fields first
//!  { _id: t2, splitEvent: { fragment: 2, of: 2 }, fullDocument }
//!      Joined:    { _id: t2, operationType, clusterTime, …, fullDocument, ns, documentKey, … }    one event
//!      PassedOn:  both as they are, for whoever has the stage in his own pipeline
//! ```
//!
//! Either way the position stays before the event until its last fragment is taken, so that what is
//! cut off comes again whole. A joined event has its fields where the server has them in an event
//! that it does not split; fields of other names, which a pipeline has added, follow in the order in
//! which the fragments bring them. Only top-level fields are moved, their bytes are not looked at.
//!
//! A joined event may have more than 16 MB and at most the bytes of the process's budget. It is
//! counted there from its first fragment until the next event is asked for. Facts:
//! `$changeStreamSplitLargeEvent` of the MongoDB manual; the order was read off mongod 6.0.27.

use std::fmt;

use super::bson::{BsonError, RawDoc, RawElement, RawValue};
use crate::memory::{Loan, MemoryBudget};

/// The field that tells a fragment from an event.
const SPLIT_EVENT: &[u8] = b"splitEvent";
/// The fields of an event in the server's order.
const ORDER: [&[u8]; 16] = [
    b"txnNumber",
    b"lsid",
    b"_id",
    b"operationType",
    b"clusterTime",
    b"collectionUUID",
    b"wallTime",
    b"fullDocument",
    b"ns",
    b"nsType",
    b"to",
    b"documentKey",
    b"updateDescription",
    b"operationDescription",
    b"stateBeforeChange",
    b"fullDocumentBeforeChange",
];
/// Bytes of a document beside its elements: the length before them and the zero behind them.
const FRAME_BYTES: usize = 5;

/// What becomes of fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are put together; the session has asked for them.
    Joined,
    /// They are handed out one by one; the operator has asked for them.
    PassedOn,
}

/// What an event turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// An event, or the last fragment of one that is passed on: the position moves behind it.
    Whole,
    /// A fragment that is passed on, and not the last one: the position stays.
    PassedOn,
    /// A fragment that waits for the others: the position stays.
    Kept,
    /// The last fragment; [`Fragments::event`] is the event, and the position moves behind it.
    Joined,
}

/// The number of a fragment and of all fragments of its event. Invariant: `1 <= fragment <= of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentNumber {
    /// From 1.
    pub fragment: u32,
    /// Fragments of the event.
    pub of: u32,
}

impl fmt::Display for FragmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fragment {} of {}", self.fragment, self.of)
    }
}

/// Why fragments make no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FragmentError {
    /// It is no BSON.
    Bson(BsonError),
    /// `due` should have come; `found` came, or an event that is not split.
    Order { due: Option<FragmentNumber>, found: Option<FragmentNumber> },
    /// The event has at least `bytes`.
    TooLarge { bytes: usize, bytes_max: usize },
}

impl From<BsonError> for FragmentError {
    fn from(error: BsonError) -> Self {
        Self::Bson(error)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Fragments {
    fate: Fate,
    /// The fragment taken last, if more of its event are to come.
    begun: Option<FragmentNumber>,
    joined: Joined,
    bytes_max: usize,
    memory: Loan,
}

/// The event that is put together.
#[derive(Debug, Default)]
struct Joined {
    /// Blank length, elements; the terminator comes last.
    bytes: Vec<u8>,
    /// The elements in order: place among [`ORDER`], bytes.
    parts: Vec<(usize, usize)>,
}

impl Fragments {
    pub(super) fn new(fate: Fate, memory: &MemoryBudget) -> Self {
        // The length of a document is a signed number of 32 bits.
        let bytes_max = memory.bytes_max().min(i32::MAX as usize);
        let (joined, memory) = (Joined::default(), memory.loan(0));
        Self { fate, begun: None, joined, bytes_max, memory }
    }

    /// Takes the next event of the stream.
    pub(super) fn take(&mut self, event: RawDoc<'_>) -> Result<Taken, FragmentError> {
        self.release();
        let found = number(event)?;
        if self.fate == Fate::PassedOn {
            self.begun = found.filter(|number| number.fragment < number.of);
            return Ok(if self.begun.is_some() { Taken::PassedOn } else { Taken::Whole });
        }
        let due = self.begun.map(|last| FragmentNumber { fragment: last.fragment + 1, ..last });
        match (due, found) {
            (None, None) => return Ok(Taken::Whole),
            (None, Some(FragmentNumber { fragment: 1, .. })) => {}
            (Some(due), Some(found)) if due == found => {}
            (due, found) => return Err(FragmentError::Order { due, found }),
        }
        let begun = found.filter(|number| number.fragment < number.of);
        self.add(event, begun.is_none())?;
        self.begun = begun;
        if begun.is_some() {
            return Ok(Taken::Kept);
        }
        self.joined.end();
        Ok(Taken::Joined)
    }

    /// The event after [`Taken::Joined`], until the next call of anything else.
    pub(super) fn event(&self) -> Result<RawDoc<'_>, BsonError> {
        RawDoc::new(&self.joined.bytes)
    }

    /// Whether the first fragments of an event were taken and its last was not.
    pub(super) fn is_inside_event(&self) -> bool {
        self.begun.is_some()
    }

    /// Forgets the event that was begun, as after a lost connection.
    pub(super) fn reset(&mut self) {
        self.begun = None;
        self.release();
    }

    /// Returns the memory of an event that was handed out.
    pub(super) fn release(&mut self) {
        if self.begun.is_none() && self.joined.bytes.capacity() != 0 {
            self.joined = Joined::default();
            self.memory.settle(0);
        }
    }

    fn add(&mut self, fragment: RawDoc<'_>, is_last: bool) -> Result<(), FragmentError> {
        let bytes = FRAME_BYTES + self.joined.bytes.len() + fragment.as_bytes().len();
        if self.bytes_max < bytes {
            return Err(FragmentError::TooLarge { bytes, bytes_max: self.bytes_max });
        }
        // Whatever the budget says: nobody waits for another's memory in the middle of an event.
        self.joined.reserve(fragment.as_bytes().len());
        self.memory.settle(self.joined.bytes.capacity());
        let mut elements = fragment.iter();
        while let Some(element) = elements.next_with_bytes() {
            let (RawElement { name, .. }, bytes) = element?;
            if name != SPLIT_EVENT && (is_last || name != b"_id") {
                self.joined.insert(place(name), bytes);
            }
        }
        Ok(())
    }
}

impl Joined {
    /// Room for a fragment, and no more: an event is not doubled while it grows.
    fn reserve(&mut self, fragment_bytes: usize) {
        self.bytes.reserve_exact(FRAME_BYTES + fragment_bytes);
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&[0; 4]);
        }
    }

    /// Puts an element behind those of its place and of those before.
    fn insert(&mut self, place: usize, element: &[u8]) {
        let index = self.parts.partition_point(|(other, _)| *other <= place);
        let before: usize = self.parts.iter().take(index).map(|(_, bytes)| bytes).sum();
        self.bytes.extend_from_slice(element);
        if let Some(tail) = self.bytes.get_mut(4 + before..) {
            tail.rotate_right(element.len().min(tail.len()));
        }
        self.parts.insert(index, (place, element.len()));
    }

    fn end(&mut self) {
        self.bytes.push(0);
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(blank) = self.bytes.first_chunk_mut() {
            *blank = length.to_le_bytes();
        }
    }
}

/// Which fragment `event` is; `None`: it is a whole event.
fn number(event: RawDoc<'_>) -> Result<Option<FragmentNumber>, BsonError> {
    let Some(RawValue::Document(split)) = event.get(SPLIT_EVENT)? else { return Ok(None) };
    let field = |name: &[u8]| -> Result<Option<u32>, BsonError> {
        let value = split.get(name)?.and_then(RawValue::as_i64);
        Ok(value.and_then(|value| u32::try_from(value).ok()))
    };
    let (Some(fragment), Some(of)) = (field(b"fragment")?, field(b"of")?) else { return Ok(None) };
    Ok((1..=of).contains(&fragment).then_some(FragmentNumber { fragment, of }))
}

/// The place of a field among those of an event.
fn place(name: &[u8]) -> usize {
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};
    use proptest::prelude::*;

    fn fragment(fragment: i32, of: i32, fields: Document) -> Document {
        let mut document = doc! {
            "_id": { "_data": format!("82{fragment}") },
            "splitEvent": { "fragment": fragment, "of": of },
        };
        document.extend(fields);
        document
    }

    fn take(fragments: &mut Fragments, event: &Document) -> Result<Taken, FragmentError> {
        fragments.take(RawDoc::new(&event.to_vec().unwrap()).unwrap())
    }

    fn joining(bytes_max: usize) -> (Fragments, MemoryBudget) {
        let budget = MemoryBudget::new(bytes_max);
        (Fragments::new(Fate::Joined, &budget), budget)
    }

    fn event(fragments: &Fragments) -> Document {
        Document::from_reader(fragments.event().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn fragments_become_the_event_that_was_split() {
        let (mut fragments, _) = joining(1 << 20);
        // The server fills fragments with the smallest field first.
        let first = fragment(
            1,
            3,
            doc! { "documentKey": { "_id": 1 }, "ns": { "db": "d" }, "operationType": "update" },
        );
        let second = fragment(2, 3, doc! { "ours": 1, "fullDocumentBeforeChange": { "a": 1 } });
        let third = fragment(3, 3, doc! { "fullDocument": { "a": 2 } });
        assert_eq!(take(&mut fragments, &first), Ok(Taken::Kept));
        assert_eq!(take(&mut fragments, &second), Ok(Taken::Kept));
        assert!(fragments.is_inside_event());
        assert_eq!(take(&mut fragments, &third), Ok(Taken::Joined));
        assert!(!fragments.is_inside_event());
        let want = doc! {
            "_id": { "_data": "823" }, "operationType": "update", "fullDocument": { "a": 2 },
            "ns": { "db": "d" }, "documentKey": { "_id": 1 }, "fullDocumentBeforeChange": { "a": 1 },
            "ours": 1,
        };
        assert_eq!(event(&fragments).to_vec().unwrap(), want.to_vec().unwrap());
        assert_eq!(take(&mut fragments, &doc! { "_id": {} }), Ok(Taken::Whole));
    }

    #[test]
    fn memory_is_counted_from_the_first_fragment_and_comes_back() {
        let (mut fragments, budget) = joining(4 << 20);
        let large = "x".repeat(1 << 20);
        take(&mut fragments, &fragment(1, 2, doc! { "fullDocument": &large })).unwrap();
        assert!((1 << 20..3 << 19).contains(&budget.lent_bytes()), "{}", budget.lent_bytes());
        take(&mut fragments, &fragment(2, 2, doc! { "updateDescription": &large })).unwrap();
        assert!((2 << 20..5 << 19).contains(&budget.lent_bytes()), "{}", budget.lent_bytes());
        fragments.release();
        assert_eq!(budget.lent_bytes(), 0);
        take(&mut fragments, &fragment(1, 2, doc! { "fullDocument": &large })).unwrap();
        fragments.release();
        assert_ne!(budget.lent_bytes(), 0, "what is begun is kept");
        fragments.reset();
        assert_eq!((budget.lent_bytes(), fragments.is_inside_event()), (0, false));
    }

    #[test]
    fn an_event_beyond_the_budget_is_refused_with_its_size() {
        let (mut fragments, _) = joining(3 << 19);
        let large = "x".repeat(1 << 20);
        take(&mut fragments, &fragment(1, 2, doc! { "fullDocument": &large })).unwrap();
        let refused = take(&mut fragments, &fragment(2, 2, doc! { "updateDescription": &large }));
        let Err(FragmentError::TooLarge { bytes, bytes_max }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(bytes_max, 3 << 19);
        assert!(2 << 20 < bytes);
    }

    #[test]
    fn fragments_out_of_order_are_refused() {
        let one = |n| fragment(n, 3, doc! {});
        for (sequence, due, found) in [
            (vec![one(2)], None, Some((2, 3))),
            (vec![one(1), one(1)], Some((2, 3)), Some((1, 3))),
            (vec![one(1), one(3)], Some((2, 3)), Some((3, 3))),
            (vec![one(1), fragment(2, 2, doc! {})], Some((2, 3)), Some((2, 2))),
            (vec![one(1), doc! { "_id": {} }], Some((2, 3)), None),
        ] {
            let (mut fragments, _) = joining(1 << 20);
            let (last, before) = sequence.split_last().unwrap();
            for event in before {
                assert_eq!(take(&mut fragments, event), Ok(Taken::Kept));
            }
            let number = |number: Option<(u32, u32)>| {
                number.map(|(fragment, of)| FragmentNumber { fragment, of })
            };
            let want = FragmentError::Order { due: number(due), found: number(found) };
            assert_eq!(take(&mut fragments, last), Err(want));
        }
    }

    #[test]
    fn fragments_that_are_passed_on_end_with_the_last() {
        let mut fragments = Fragments::new(Fate::PassedOn, &MemoryBudget::new(0));
        for (event, taken) in [
            (fragment(1, 2, doc! {}), Taken::PassedOn),
            (fragment(2, 2, doc! {}), Taken::Whole),
            (doc! { "_id": {} }, Taken::Whole),
            (fragment(2, 3, doc! {}), Taken::PassedOn),
        ] {
            assert_eq!(take(&mut fragments, &event), Ok(taken));
            assert_eq!(fragments.is_inside_event(), taken == Taken::PassedOn);
        }
    }

    #[test]
    fn a_field_that_only_has_the_name_makes_no_fragment() {
        for odd in [
            doc! { "splitEvent": 1 },
            doc! { "splitEvent": { "fragment": 1 } },
            doc! { "splitEvent": { "fragment": 0, "of": 1 } },
            doc! { "splitEvent": { "fragment": 3, "of": 2 } },
            doc! { "splitEvent": { "fragment": -1, "of": "2" } },
        ] {
            let (mut fragments, _) = joining(1 << 20);
            assert_eq!(take(&mut fragments, &odd), Ok(Taken::Whole), "{odd}");
        }
    }

    #[test]
    fn a_fragment_with_any_byte_altered_or_cut_never_panics() {
        let whole = fragment(1, 2, doc! { "fullDocument": { "a": 1 }, "ns": { "db": "d" } });
        let whole = whole.to_vec().unwrap();
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut altered = whole.clone();
                altered[at] = byte;
                let (mut fragments, _) = joining(1 << 20);
                let _ = RawDoc::new(&altered).map(|event| fragments.take(event));
            }
        }
    }

    proptest! {
        #[test]
        fn however_the_fields_are_spread_the_event_is_the_same(
            places in proptest::collection::vec(0_usize..3, ORDER.len())
        ) {
            let (mut fragments, _) = joining(1 << 20);
            let mut want = Document::new();
            for name in ORDER {
                want.insert(std::str::from_utf8(name).unwrap(), "v");
            }
            want.insert("_id", doc! { "_data": "823" });
            for n in 0..3 {
                let fields = want.iter().zip(&places).filter(|(field, at)| **at == n && field.0 != "_id");
                let fields = fields.map(|((name, value), _)| (name.clone(), value.clone()));
                let mut fields: Vec<_> = fields.collect();
                fields.reverse();
                let number = i32::try_from(n).unwrap() + 1;
                take(&mut fragments, &fragment(number, 3, fields.into_iter().collect())).unwrap();
            }
            prop_assert_eq!(fragments.event().unwrap().as_bytes(), want.to_vec().unwrap());
        }
    }
}
