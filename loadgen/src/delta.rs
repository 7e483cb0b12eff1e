//! What an update changes, and what the change stream says about it. Derived from (seed, key, version) alone.
//!
//! ```text
//! fields of deltas, beside the payload
//!   count                  Int64
//!   list                   up to 19 values
//!   maybe0 … maybe3        each there or not
//!
//! delta       statement                     event
//!   set       $set v, payload               updatedFields
//!   unset     $set v, $unset maybe2         removedFields
//!   inc       $set v, $inc count            updatedFields: the sum
//!   push      $set v, $push list            updatedFields: list.5
//!   pop       $set v, $pop list             updatedFields: the whole list
//!   truncate  [$set v, list: $slice]        truncatedArrays
//!   element   $set v, list.3                updatedFields: list.3
//! ```
//!
//! A `$push` shows in the event as a place in the list, an `$inc` as a sum: what they make depends on what was there.
//! So that no history has to be kept, versions come in epochs of 16. At the begin of an epoch the fields have a known
//! state, written by the insert, by a replace, or by an update that sets them all; within it every version applies
//! the delta that one draw of the epoch's stream chooses. The state at any version is at most 15 such steps away from
//! its begin. A replace writes the state of its version, as if it had been an update.
//!
//! MongoDB 6.0 reports `$pop` as the whole list and a shorter list made by a pipeline as `truncatedArrays`. Both say
//! the same; a checker takes either for both ([`Workload::changes`]).

use bson::Document;
use rand::Rng;

use crate::bson_writer::{BsonWriter, element};
use crate::document::{Documents, decode, push_version};
use crate::random::{Domain, rng, rng_of_item};
use crate::value::{ValueKind, Values};
use crate::workload::{Deltas, Key, Workload};

/// Versions from one known state to the next.
const EPOCH: u32 = 16;
/// Elements of `list` at the begin of an epoch; each push adds one.
const LIST_BEGIN: usize = 4;
const LIST_MAX: usize = LIST_BEGIN + EPOCH as usize - 1;
const MAYBE_FIELDS: usize = 4;
/// What an epoch adds to `count`; its increments stay below.
const COUNT_EPOCH: i64 = 1_000;
const INCREMENT_MAX: u32 = 60;
/// Room of a value in `list` and `maybe…`, bytes.
const VALUE_ROOM: usize = 12;
/// Items of [`Domain::DeltaValues`] from here on are values of `maybe…`.
const MAYBE_ITEM: u8 = 64;

/// What one update does, beside setting `v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta {
    /// Sets payload fields.
    Set,
    /// Sets all fields of deltas: an epoch begins.
    Reset,
    /// Removes one of the fields `maybe…`.
    Unset {
        /// Its number.
        field: usize,
    },
    /// Sets one of the fields `maybe…` that was removed.
    Restore {
        /// Its number.
        field: usize,
    },
    /// Adds to `count`.
    Inc {
        /// How much.
        by: i64,
    },
    /// Appends to `list`.
    Push,
    /// Takes the last of `list` away.
    Pop,
    /// As [`Self::Pop`], by a pipeline.
    Truncate,
    /// Sets an element of `list`.
    Element {
        /// Its place.
        place: usize,
    },
}

/// What a change stream says about an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `updatedFields` as BSON, in no particular order: the server sorts them.
    pub updated: Vec<u8>,
    /// The one name in `removedFields`.
    pub removed: Option<String>,
    /// The one entry of `truncatedArrays`.
    pub truncated: Option<Truncated>,
}

/// A list that became shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// Its name.
    pub field: &'static str,
    /// Elements that are left.
    pub new_size: u32,
}

/// The fields of deltas after a version. Values are known by the version that wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    count: i64,
    list: [u32; LIST_MAX],
    list_len: usize,
    maybe: [Option<u32>; MAYBE_FIELDS],
}

impl State {
    /// At the first version of an epoch.
    fn begin(version: u32) -> Self {
        let count = i64::from(version / EPOCH) * COUNT_EPOCH;
        let maybe = [Some(version); MAYBE_FIELDS];
        Self { count, list: [version; LIST_MAX], list_len: LIST_BEGIN, maybe }
    }

    /// What a draw stands for. A delta that has nothing to work on makes room for a later one.
    fn choose(&self, deltas: Deltas, draw: u32) -> Delta {
        let Deltas { set, unset, inc, push, pop, truncate, element } = deltas;
        let mut kind = (u64::from(draw >> 16) * deltas.total()) >> 16;
        let mut is = |weight: u16| {
            let chosen = kind < u64::from(weight);
            kind = kind.wrapping_sub(u64::from(weight));
            chosen
        };
        let within = |end: usize| ((draw & 0xffff) as usize * end) >> 16;
        if is(set) {
            Delta::Set
        } else if is(unset) {
            let there = || (0..MAYBE_FIELDS).filter(|&field| self.maybe[field].is_some());
            match there().nth(within(there().count())) {
                Some(field) => Delta::Unset { field },
                None => Delta::Restore { field: within(MAYBE_FIELDS) },
            }
        } else if is(inc) {
            Delta::Inc { by: 1 + within(INCREMENT_MAX as usize) as i64 }
        } else if is(push) || self.list_len <= 1 {
            Delta::Push
        } else if is(pop) {
            Delta::Pop
        } else if is(truncate) {
            Delta::Truncate
        } else {
            debug_assert!(is(element), "the weights end here");
            Delta::Element { place: within(self.list_len) }
        }
    }

    fn apply(&mut self, delta: Delta, version: u32) {
        match delta {
            Delta::Set | Delta::Reset => {}
            Delta::Unset { field } => self.maybe[field] = None,
            Delta::Restore { field } => self.maybe[field] = Some(version),
            Delta::Inc { by } => self.count += by,
            Delta::Push => {
                self.list[self.list_len] = version;
                self.list_len += 1;
            }
            Delta::Pop | Delta::Truncate => self.list_len -= 1,
            Delta::Element { place } => self.list[place] = version,
        }
    }
}

impl Workload {
    /// What an update of `key` to `version` does.
    pub fn delta(&self, key: Key, version: u32) -> Delta {
        if self.mix.deltas.need_fields() { self.state(key, version).1 } else { Delta::Set }
    }

    /// The `updatedFields` of an update to `version`, in no particular order.
    pub fn update(&self, key: Key, version: u32) -> Document {
        decode(self.update_bytes(key, version))
    }

    /// [`Self::update`] as BSON.
    pub fn update_bytes(&self, key: Key, version: u32) -> Vec<u8> {
        if !self.mix.deltas.need_fields() {
            let mut writer = BsonWriter::default();
            let open = writer.open();
            push_version(&mut writer, version);
            self.push_new_payload(&mut writer, key, version);
            writer.close_document(open);
            return writer.into_bytes();
        }
        let [change, ..] = &self.changes(key, version)[..] else { return Vec::new() };
        change.updated.clone()
    }

    /// What a change stream may say about an update to `version`, the way of MongoDB 6.0 first; at least one.
    pub fn changes(&self, key: Key, version: u32) -> Vec<Change> {
        if !self.mix.deltas.need_fields() {
            let updated = self.update_bytes(key, version);
            return vec![Change { updated, removed: None, truncated: None }];
        }
        let (state, delta) = self.state(key, version);
        let change = |removed, push: &dyn Fn(&mut BsonWriter)| {
            let mut writer = BsonWriter::default();
            let open = writer.open();
            push_version(&mut writer, version);
            push(&mut writer);
            writer.close_document(open);
            Change { updated: writer.into_bytes(), removed, truncated: None }
        };
        let value = |writer: &mut BsonWriter| self.push_delta_value(writer, &state, delta, key);
        match delta {
            Delta::Set => vec![change(None, &|writer| self.push_new_payload(writer, key, version))],
            Delta::Reset => vec![change(None, &|writer| self.push_state(writer, &state, key))],
            Delta::Unset { field } => vec![change(Some(format!("maybe{field}")), &|_| ())],
            Delta::Inc { .. } => vec![change(None, &|writer| push_count(writer, state.count))],
            Delta::Restore { .. } | Delta::Push | Delta::Element { .. } => {
                vec![change(None, &value)]
            }
            Delta::Pop | Delta::Truncate => {
                let whole = change(None, &|writer| self.push_list(writer, &state, key));
                let truncated = Truncated { field: "list", new_size: state.list_len as u32 };
                let shorter = Change { truncated: Some(truncated), ..change(None, &|_| ()) };
                if delta == Delta::Pop { vec![whole, shorter] } else { vec![shorter, whole] }
            }
        }
    }

    /// The fields of deltas in a document of `version`.
    pub(crate) fn push_delta_fields(&self, writer: &mut BsonWriter, key: Key, version: u32) {
        self.push_state(writer, &self.state(key, version).0, key);
    }

    /// The element `u` of an update statement: operators, or a pipeline.
    pub(crate) fn push_modification(&self, writer: &mut BsonWriter, key: Key, version: u32) {
        if !self.mix.deltas.need_fields() {
            push_operators(writer, |writer| {
                push_set(writer, version, |writer| self.push_new_payload(writer, key, version));
            });
            return;
        }
        let (state, delta) = self.state(key, version);
        let value = |writer: &mut BsonWriter| self.push_delta_value(writer, &state, delta, key);
        if delta == Delta::Truncate {
            push_truncation(writer, version, state.list_len);
            return;
        }
        push_operators(writer, |writer| match delta {
            Delta::Set => {
                push_set(writer, version, |writer| self.push_new_payload(writer, key, version));
            }
            Delta::Reset => {
                push_set(writer, version, |writer| self.push_state(writer, &state, key));
            }
            Delta::Restore { .. } | Delta::Element { .. } => push_set(writer, version, value),
            Delta::Unset { field } => {
                push_set(writer, version, |_| ());
                push_operator(writer, "$unset", |writer| {
                    writer.element(element::STRING, format_args!("maybe{field}"));
                    writer.string("");
                });
            }
            Delta::Inc { by } => {
                push_set(writer, version, |_| ());
                push_operator(writer, "$inc", |writer| push_count(writer, by));
            }
            Delta::Push => {
                push_set(writer, version, |_| ());
                let place = state.list_len - 1;
                push_operator(writer, "$push", |writer| {
                    self.push_item(writer, "list", key, state.list[place], place);
                });
            }
            Delta::Pop | Delta::Truncate => {
                push_set(writer, version, |_| ());
                push_operator(writer, "$pop", |writer| {
                    writer.element(element::INT32, "list");
                    writer.i32(1);
                });
            }
        });
    }

    /// The state after `version`, and the delta that led to it.
    fn state(&self, key: Key, version: u32) -> (State, Delta) {
        let begin = version - version % EPOCH;
        let mut rng = rng(self.seed, Domain::Deltas, key.id(), begin);
        let mut state = State::begin(begin);
        let mut delta = Delta::Reset;
        for step in begin + 1..=version {
            delta = state.choose(self.mix.deltas, rng.next_u32());
            state.apply(delta, step);
        }
        (state, delta)
    }

    fn push_state(&self, writer: &mut BsonWriter, state: &State, key: Key) {
        push_count(writer, state.count);
        self.push_list(writer, state, key);
        for (field, version) in state.maybe.iter().enumerate() {
            if let Some(version) = version {
                self.push_maybe(writer, key, *version, field);
            }
        }
    }

    fn push_list(&self, writer: &mut BsonWriter, state: &State, key: Key) {
        writer.element(element::ARRAY, "list");
        let open = writer.open();
        for (place, &version) in state.list[..state.list_len].iter().enumerate() {
            self.push_item(writer, place, key, version, place);
        }
        writer.close_document(open);
    }

    /// The one field that a delta which sets a value sets, by the name that the event gives it.
    fn push_delta_value(&self, writer: &mut BsonWriter, state: &State, delta: Delta, key: Key) {
        match delta {
            Delta::Restore { field } => {
                if let Some(version) = state.maybe[field] {
                    self.push_maybe(writer, key, version, field);
                }
            }
            Delta::Push => {
                let place = state.list_len - 1;
                self.push_item(writer, format_args!("list.{place}"), key, state.list[place], place);
            }
            Delta::Element { place } => {
                self.push_item(writer, format_args!("list.{place}"), key, state.list[place], place);
            }
            Delta::Set
            | Delta::Reset
            | Delta::Unset { .. }
            | Delta::Inc { .. }
            | Delta::Pop
            | Delta::Truncate => {}
        }
    }

    fn push_maybe(&self, writer: &mut BsonWriter, key: Key, version: u32, field: usize) {
        let name = format_args!("maybe{field}");
        self.push_value(writer, name, key, version, MAYBE_ITEM + field as u8);
    }

    fn push_item(
        &self,
        writer: &mut BsonWriter,
        name: impl std::fmt::Display,
        key: Key,
        version: u32,
        place: usize,
    ) {
        self.push_value(writer, name, key, version, place as u8);
    }

    /// A value that no other version has.
    fn push_value(
        &self,
        writer: &mut BsonWriter,
        name: impl std::fmt::Display,
        key: Key,
        version: u32,
        item: u8,
    ) {
        let (kinds, unicode) = match &self.document {
            Documents::Shape(shape) => (shape.kinds.value_kinds(), shape.unicode),
            Documents::Template(_) => (ValueKind::PLAIN, false),
        };
        let kind = kinds[(version as usize + usize::from(item)) % kinds.len()];
        let kind = if kind.is_narrow() { ValueKind::Int64 } else { kind };
        let rng = rng_of_item(self.seed, Domain::DeltaValues, key.id(), version, item);
        let mut values = Values { rng, unicode, special_doubles: false, distinct: true };
        values.push(writer, name, kind, VALUE_ROOM);
    }
}

fn push_count(writer: &mut BsonWriter, count: i64) {
    writer.element(element::INT64, "count");
    writer.i64(count);
}

fn push_operators(writer: &mut BsonWriter, push: impl FnOnce(&mut BsonWriter)) {
    writer.element(element::DOCUMENT, "u");
    let open = writer.open();
    push(writer);
    writer.close_document(open);
}

fn push_operator(writer: &mut BsonWriter, name: &str, push: impl FnOnce(&mut BsonWriter)) {
    writer.element(element::DOCUMENT, name);
    let open = writer.open();
    push(writer);
    writer.close_document(open);
}

fn push_set(writer: &mut BsonWriter, version: u32, push: impl FnOnce(&mut BsonWriter)) {
    push_operator(writer, "$set", |writer| {
        push_version(writer, version);
        push(writer);
    });
}

/// `u: [{ $set: { v: version, list: { $slice: ["$list", length] } } }]`; `length` is at least 1, as `$slice` demands.
fn push_truncation(writer: &mut BsonWriter, version: u32, length: usize) {
    writer.element(element::ARRAY, "u");
    let stages = writer.open();
    push_operator(writer, "0", |writer| {
        push_set(writer, version, |writer| {
            push_operator(writer, "list", |writer| {
                writer.element(element::ARRAY, "$slice");
                let arguments = writer.open();
                writer.element(element::STRING, 0);
                writer.string("$list");
                writer.element(element::INT32, 1);
                writer.i32(length as i32);
                writer.close_document(arguments);
            });
        });
    });
    writer.close_document(stages);
}

#[cfg(test)]
mod tests;
