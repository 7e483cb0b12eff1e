//! What is written for a group of combinations: every kind of change, drawn from a seed.
//!
//! ```text
//! before      a connector runs: anything goes                           then a fence in every collection
//! live        while all run: an updated document is not touched again   then a fence in `events`
//! behind      when all have stopped: one insert, by which positions are compared
//! ```
//!
//! What the look-up of an update finds must not depend on when it looks. So what is written live leaves alone what was
//! written before, and no updated document is changed, deleted or lost with its collection while streams are open.
//!
//! `events` and `other` stay; `temp` is renamed and dropped, the second database too. All keep images of documents
//! before and after changes. A write that the server refuses is no event.

use anyhow::{Context, Result, ensure};
use bson::raw::{RawArrayBuf, RawDocumentBuf};
use bson::{doc, rawdoc};
use mongodb::Client;
use mongodb::error::ErrorKind;

use super::random::Random;
use super::values::Bytes;

/// The collection that every scope sees.
pub(super) const EVENTS: &str = "events";
const OTHER: &str = "other";
const TEMP: &str = "temp";
/// Kinds of updates.
const DELTAS: usize = 15;
/// What can happen to `temp`.
const TEMP_CHANGES: usize = 6;
/// How deep wild values go.
const DEPTH: usize = 4;
/// A text that makes a batch of its own.
const LARGE_BYTES: usize = 60_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Backlog {
    client: Client,
    random: Random,
    /// The first database; the second is beside it.
    database: String,
    next_id: i32,
    known: Vec<Known>,
    /// How `temp` is called now, if it is there.
    temp: Option<String>,
    phase: Phase,
    written: Written,
}

/// A document that can be changed.
#[derive(Clone, Debug)]
struct Known {
    place: Place,
    id: i32,
    /// Whether its fields are those that updates name; a wild one is only replaced and deleted.
    is_plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Events,
    Other,
    Second,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Live,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Documents that were written, and other commands that were taken.
    pub(super) taken: u64,
    /// What the server refused.
    pub(super) refused: u64,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Namespace {
    pub(super) database: String,
    pub(super) collection: String,
}

impl Backlog {
    /// Makes the collections in a new `database` and one beside it.
    pub(super) async fn begin(client: &Client, database: &str, seed: u64) -> Result<Self> {
        let mut backlog = Self {
            client: client.clone(),
            random: Random::new(seed),
            database: database.to_owned(),
            next_id: 0,
            known: Vec::new(),
            temp: None,
            phase: Phase::Before,
            written: Written::default(),
        };
        for place in [Place::Events, Place::Other, Place::Second] {
            backlog.create(place.collection(), place).await?;
        }
        Ok(backlog)
    }

    /// Writes until at least `operations` were taken, then a fence into every collection. Returns the fences.
    pub(super) async fn write_before(&mut self, operations: u64) -> Result<Vec<Namespace>> {
        self.write(operations).await?;
        let mut fences = Vec::new();
        for place in [Place::Events, Place::Other, Place::Second] {
            fences.push(self.namespace(place, place.collection()));
        }
        if let Some(temp) = self.temp.clone() {
            fences.push(self.namespace(Place::Events, &temp));
        }
        for fence in &fences {
            self.insert_fence(fence, &fence_before(fence)).await?;
        }
        Ok(fences)
    }

    /// Writes while streams are open, and a fence into [`EVENTS`].
    pub(super) async fn write_live(&mut self, operations: u64) -> Result<()> {
        (self.phase, self.known) = (Phase::Live, Vec::new());
        self.write(operations).await?;
        self.insert_fence(&self.namespace(Place::Events, EVENTS), FENCE_LIVE).await
    }

    /// One more insert into [`EVENTS`], when nobody reads.
    pub(super) async fn write_behind(&self) -> Result<()> {
        self.insert_fence(&self.namespace(Place::Events, EVENTS), BEHIND).await
    }

    pub(super) fn written(&self) -> Written {
        self.written
    }

    async fn write(&mut self, operations: u64) -> Result<()> {
        let until = self.written.taken + operations;
        self.every_kind().await?;
        while self.written.taken < until {
            match self.random.below(100) {
                0..=29 => self.insert().await?,
                30..=54 => {
                    let delta = self.random.below(DELTAS);
                    self.update(delta).await?;
                }
                55..=67 => self.replace().await?,
                68..=76 => self.delete().await?,
                77..=80 => self.upsert().await?,
                81..=87 => self.wild_id().await?,
                88..=91 => self.transaction().await?,
                92 => self.large_or_deep().await?,
                93..=97 => {
                    let change = self.random.below(TEMP_CHANGES);
                    self.change_temp(change).await?;
                }
                98 => {
                    let drops = self.random.once_in(2);
                    self.index(drops).await?;
                }
                _ => self.drop_second().await?,
            }
            let Written { taken, refused } = self.written;
            ensure!(
                refused < 200 + taken,
                "the server refuses most of what is written: {refused} beside {taken}"
            );
        }
        Ok(())
    }

    /// Each kind of change once, so that none is left to chance.
    async fn every_kind(&mut self) -> Result<()> {
        while self.known.iter().filter(|known| known.is_plain).count() < 2 * DELTAS {
            self.insert().await?;
        }
        for delta in 0..DELTAS {
            self.update(delta).await?;
        }
        self.replace().await?;
        self.delete().await?;
        self.upsert().await?;
        self.wild_id().await?;
        self.transaction().await?;
        self.large_or_deep().await?;
        self.edges().await?;
        for drops in [false, true] {
            self.index(drops).await?;
        }
        for change in 0..TEMP_CHANGES {
            self.change_temp(change).await?;
        }
        self.drop_second().await
    }

    async fn insert(&mut self) -> Result<()> {
        let place = self.place();
        let mut documents = RawArrayBuf::new();
        for _ in 0..=self.random.below(5) {
            let (id, is_plain) = (self.new_id(), self.random.below(5) < 3);
            documents.push(self.document(id, is_plain));
            self.known.push(Known { place, id, is_plain });
        }
        let insert =
            rawdoc! { "insert": place.collection(), "documents": documents, "ordered": false };
        self.run(place, insert).await
    }

    async fn update(&mut self, delta: usize) -> Result<()> {
        let in_second = |known: &Known| known.place == Place::Second;
        let is_live = self.phase == Phase::Live;
        let Some(known) = self.pick(|known| known.is_plain && !(is_live && in_second(known)))
        else {
            return Ok(());
        };
        let command = rawdoc! { "update": known.place.collection(), "updates": [
            { "q": { "_id": known.id }, "u": self.delta(delta) }
        ] };
        if is_live {
            self.forget(&known);
        }
        self.run(known.place, command).await
    }

    /// One of the [`DELTAS`]: the ways in which the description of an update can look.
    fn delta(&mut self, number: usize) -> bson::RawBson {
        let random = &mut self.random;
        let wild = Bytes::whole(|bytes| bytes.wild(b"v", random, DEPTH));
        let wild = wild.iter_elements().next().and_then(|element| {
            element.ok().and_then(|element| Some(element.value().ok()?.into()))
        });
        // Text that is no UTF-8 cannot be taken out of its document alone.
        let wild: bson::RawBson = wild.unwrap_or(bson::RawBson::Null);
        let value = random.bits() as i32;
        match number {
            0 => rawdoc! { "$set": { "x": wild } }.into(),
            1 => rawdoc! { "$set": { "deep.a.b.1.c": wild, "n": f64::NAN } }.into(),
            2 => rawdoc! { "$set": { "list.1": wild, "new": 1.0e10 } }.into(),
            3 => rawdoc! { "$unset": { "x": "", "deep.a": "" } }.into(),
            4 => rawdoc! { "$push": { "list": wild } }.into(),
            5 => rawdoc! { "$push": { "list": { "$each": [wild, value], "$slice": 3 } } }.into(),
            6 => rawdoc! { "$pop": { "list": 1 } }.into(),
            7 => rawdoc! { "$inc": { "n": 1_i64, "count": 0.5 } }.into(),
            8 => rawdoc! { "$rename": { "text": "renamed" } }.into(),
            9 => rawdoc! { "$currentDate": { "at": { "$type": "timestamp" }, "date": true } }.into(),
            10 => rawdoc! { "$set": { "w.0.é": value, "list.0": wild } }.into(),
            11 => array([rawdoc! { "$set": { "list": { "$slice": ["$list", 1] } } }]).into(),
            12 => array([
                rawdoc! { "$set": { "n": { "$literal": wild }, "list": { "$slice": ["$list", 2] } } },
                rawdoc! { "$unset": "deep" },
            ])
            .into(),
            13 => array([rawdoc! { "$replaceWith": { "_id": "$_id", "only": { "$literal": wild } } }]).into(),
            _ => rawdoc! { "$unset": { "list": "", "n": "", "w": "", "nothing": "" } }.into(),
        }
    }

    async fn replace(&mut self) -> Result<()> {
        let Some(known) = self.pick(|_| true) else { return Ok(()) };
        let is_plain = self.random.once_in(3);
        let replacement = self.document(known.id, is_plain);
        for one in self.known.iter_mut().filter(|one| one.id == known.id) {
            one.is_plain = false;
        }
        let command = rawdoc! { "update": known.place.collection(), "updates": [
            { "q": { "_id": known.id }, "u": replacement }
        ] };
        self.run(known.place, command).await
    }

    async fn delete(&mut self) -> Result<()> {
        let Some(known) = self.pick(|_| true) else { return Ok(()) };
        self.forget(&known);
        let command = rawdoc! { "delete": known.place.collection(), "deletes": [
            { "q": { "_id": known.id }, "limit": 1 }
        ] };
        self.run(known.place, command).await
    }

    async fn upsert(&mut self) -> Result<()> {
        let (id, number) = (self.new_id(), self.random.bits() as i32);
        let command = rawdoc! { "update": EVENTS, "updates": [
            { "q": { "_id": id }, "u": { "$set": { "upserted": number } }, "upsert": true }
        ] };
        self.run(Place::Events, command).await
    }

    /// A document whose `_id` is wild, which half of the times goes again.
    async fn wild_id(&mut self) -> Result<()> {
        let (number, goes) = (self.new_id(), self.random.once_in(2));
        // Alone only before: what is written live must not meet an `_id` that was there.
        let alone = self.phase == Phase::Before && self.random.once_in(2);
        let random = &mut self.random;
        let document = Bytes::whole(|bytes| {
            if alone {
                bytes.wild(b"_id", random, 2);
            } else {
                bytes.document(b"_id", |id| {
                    id.int32("number", number);
                    id.wild(b"v", random, 2);
                });
            }
            bytes.int32("f", number);
        });
        let documents = array([document]);
        self.run(Place::Events, rawdoc! { "insert": EVENTS, "documents": documents }).await?;
        if goes {
            let delete =
                rawdoc! { "delete": EVENTS, "deletes": [{ "q": { "f": number }, "limit": 1 }] };
            self.run(Place::Events, delete).await?;
        }
        Ok(())
    }

    /// Documents in two collections and an update, committed or not.
    async fn transaction(&mut self) -> Result<()> {
        let commits = !self.random.once_in(4);
        let updated = self.pick(|known| known.is_plain && known.place == Place::Events);
        let ids = [self.new_id(), self.new_id(), self.new_id()];
        let number = self.random.bits() as i32;
        let database = self.client.database(&self.database);
        let (events, other) =
            (database.collection::<bson::Document>(EVENTS), database.collection(OTHER));
        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        for id in ids {
            let document = doc! { "_id": id, "in": number, "list": [id, { "é": 1.5 }] };
            events.insert_one(document.clone()).session(&mut session).await?;
            other.insert_one(document).session(&mut session).await?;
        }
        if let Some(known) = updated {
            let update = doc! { "$set": { "in": number } };
            events.update_one(doc! { "_id": known.id }, update).session(&mut session).await?;
            self.forget(&known);
        }
        if commits {
            session.commit_transaction().await?;
            self.written.taken += 6;
        } else {
            session.abort_transaction().await?;
        }
        Ok(())
    }

    /// All fixed edges in one document.
    async fn edges(&mut self) -> Result<()> {
        let id = self.new_id();
        let random = &mut self.random;
        let document = Bytes::whole(|bytes| {
            bytes.int32("_id", id);
            bytes.edges(random);
        });
        self.run(Place::Events, rawdoc! { "insert": EVENTS, "documents": array([document]) }).await
    }

    async fn large_or_deep(&mut self) -> Result<()> {
        let id = self.new_id();
        let random = &mut self.random;
        let document = if random.once_in(4) {
            rawdoc! { "_id": id, "text": "lärge \" ".repeat(LARGE_BYTES / 9) }
        } else {
            Bytes::whole(|bytes| {
                bytes.int32("_id", id);
                bytes.deep(b"d", random);
            })
        };
        let insert = rawdoc! { "insert": EVENTS, "documents": array([document]) };
        self.run(Place::Events, insert).await
    }

    /// One of the [`TEMP_CHANGES`]: a collection comes, gets another name and goes. It has inserts alone.
    async fn change_temp(&mut self, change: usize) -> Result<()> {
        let id = self.new_id();
        let Some(name) = self.temp.clone() else {
            self.temp = Some(TEMP.to_owned());
            return self.create(TEMP, Place::Events).await;
        };
        let command = match change {
            3 => rawdoc! { "collMod": name, "validator": { "a": { "$exists": false } } },
            4 => {
                let to = if name == TEMP { "temp_two" } else { TEMP };
                self.temp = Some(to.to_owned());
                let [from, to] = [&name, to].map(|name| format!("{}.{name}", self.database));
                let command = rawdoc! { "renameCollection": from, "to": to, "dropTarget": true };
                return self.run_on("admin", command).await;
            }
            5 => {
                self.temp = None;
                rawdoc! { "drop": name }
            }
            _ => {
                let documents = array([rawdoc! { "_id": id }, rawdoc! { "_id": -id, "a": 1 }]);
                rawdoc! { "insert": name, "documents": documents, "ordered": false }
            }
        };
        self.run(Place::Events, command).await
    }

    async fn index(&mut self, drops: bool) -> Result<()> {
        let command = if !drops {
            let keys = [rawdoc! { "count": 1 }, rawdoc! { "in": -1, "upserted": 1 }];
            let key = self.random.one_of(&keys).clone();
            rawdoc! { "createIndexes": EVENTS, "indexes": [{ "key": key, "name": "by" }] }
        } else {
            rawdoc! { "dropIndexes": EVENTS, "index": "by" }
        };
        self.run(Place::Events, command).await
    }

    /// The second database goes and comes.
    async fn drop_second(&mut self) -> Result<()> {
        self.known.retain(|known| known.place != Place::Second);
        self.run(Place::Second, rawdoc! { "dropDatabase": 1 }).await?;
        self.create(EVENTS, Place::Second).await
    }

    async fn create(&mut self, collection: &str, place: Place) -> Result<()> {
        let images = rawdoc! { "enabled": true };
        let create = rawdoc! { "create": collection, "changeStreamPreAndPostImages": images };
        self.run(place, create).await
    }

    async fn insert_fence(&self, namespace: &Namespace, id: &str) -> Result<()> {
        let database = self.client.database(&namespace.database);
        let collection = database.collection::<bson::Document>(&namespace.collection);
        collection.insert_one(doc! { "_id": id }).await?;
        Ok(())
    }

    async fn run(&mut self, place: Place, command: RawDocumentBuf) -> Result<()> {
        let database = self.namespace(place, EVENTS).database;
        self.run_on(&database, command).await
    }

    async fn run_on(&mut self, database: &str, command: RawDocumentBuf) -> Result<()> {
        match self.client.database(database).run_raw_command(command).await {
            Ok(reply) => {
                let count = reply.get_i32("n").ok().and_then(|n| u64::try_from(n).ok());
                let has_errors = reply.contains_key("writeErrors");
                self.written.taken += count.unwrap_or(1);
                self.written.refused += u64::from(has_errors);
                Ok(())
            }
            // A refusal that quotes text which is no UTF-8 is an invalid reply for the driver.
            Err(error)
                if matches!(
                    error.kind.as_ref(),
                    ErrorKind::Command(_) | ErrorKind::InvalidResponse { .. } | ErrorKind::Bson(_)
                ) =>
            {
                self.written.refused += 1;
                Ok(())
            }
            Err(error) => Err(error).context("could not write the oracle's backlog"),
        }
    }

    /// A document with `_id` `id`: of fields that updates name, or of any.
    fn document(&mut self, id: i32, is_plain: bool) -> RawDocumentBuf {
        let random = &mut self.random;
        if !is_plain {
            return Bytes::whole(|bytes| {
                bytes.int32("_id", id);
                bytes.wild_fields(random, DEPTH);
            });
        }
        let words =
            ["replication", "continuously", "incomprehensibilities", "ー", "\u{1f4a7}", "é"];
        let text: Vec<&str> = (0..random.below(30)).map(|_| *random.one_of(&words)).collect();
        let head = rawdoc! {
            "_id": id, "n": id, "list": [1, 2.5, id], "deep": { "a": { "b": [1, { "c": 2 }] } }, "text": text.join(" "),
        };
        let head = head.as_bytes().get(4..head.as_bytes().len() - 1).unwrap_or_default();
        Bytes::whole(|bytes| {
            bytes.elements(head);
            bytes.wild(b"x", random, DEPTH);
            bytes.document(b"w", |inner| inner.wild_fields(random, DEPTH));
        })
    }

    fn place(&mut self) -> Place {
        match self.random.below(20) {
            0..=14 => Place::Events,
            15..=18 => Place::Other,
            _ => Place::Second,
        }
    }

    /// One of the known documents that `fits`.
    fn pick(&mut self, fits: impl Fn(&Known) -> bool) -> Option<Known> {
        let fitting: Vec<&Known> = self.known.iter().filter(|known| fits(known)).collect();
        let number = self.random.below(fitting.len());
        fitting.get(number).map(|known| (*known).clone())
    }

    fn forget(&mut self, gone: &Known) {
        self.known.retain(|known| known.id != gone.id);
    }

    fn new_id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id
    }

    fn namespace(&self, place: Place, collection: &str) -> Namespace {
        let database = match place {
            Place::Events | Place::Other => self.database.clone(),
            Place::Second => second(&self.database),
        };
        Namespace { database, collection: collection.to_owned() }
    }
}

impl Place {
    fn collection(self) -> &'static str {
        match self {
            Self::Events | Self::Second => EVENTS,
            Self::Other => OTHER,
        }
    }
}

/// The `_id` of the last document that is written live.
pub(super) const FENCE_LIVE: &str = "fence-live-the-last";
/// The `_id` of the document that nobody replicates.
pub(super) const BEHIND: &str = "behind-all-positions";

/// The `_id` of the last document of a collection that is there before connectors run.
pub(super) fn fence_before(namespace: &Namespace) -> String {
    format!("fence-before-{}-{}", namespace.database, namespace.collection)
}

/// The database beside `database`.
pub(super) fn second(database: &str) -> String {
    format!("{database}_second")
}

fn array(documents: impl IntoIterator<Item = RawDocumentBuf>) -> RawArrayBuf {
    documents.into_iter().fold(RawArrayBuf::new(), |mut array, document| {
        array.push(document);
        array
    })
}
