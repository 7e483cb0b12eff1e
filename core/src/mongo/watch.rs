//! What is watched and from where: the commands that open a change stream and ask it for more.
//!
//! ```text
//!  aggregate  { pipeline: [ { $changeStream: { images, position, scope } }, stage … ], cursor, … }
//!  getMore    { getMore: id, collection, maxTimeMS, batchSize, $db }
//! ```
//!
//! Facts: change stream specification of the MongoDB drivers; `startAfter` is used for every token,
//! since it also resumes behind an invalidation, which `resumeAfter` refuses. Times are
//! milliseconds.

use std::fmt;

use super::bson::{RawDoc, RawValue};
use super::bson_write::DocWriter;
use super::fragments::Fate;

/// Must be the last stage of a pipeline.
pub(super) const SPLIT_STAGE: &str = "$changeStreamSplitLargeEvent";

/// A longer wait saves nothing, and a dead connection would be found out as much later.
const AWAIT_TIME_MS_MAX: u64 = 3_600_000;

/// The namespaces whose changes are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All databases but `admin`, `config` and `local`.
    Deployment,
    /// All collections of one database.
    Database(String),
    /// One collection.
    Collection {
        /// Its database.
        database: String,
        /// Its name.
        collection: String,
    },
}

impl Scope {
    /// The database that commands go to.
    pub(super) fn database(&self) -> &str {
        match self {
            Self::Deployment => "admin",
            Self::Database(database) | Self::Collection { database, .. } => database,
        }
    }

    /// The collection that `getMore` names.
    pub(super) fn cursor_collection(&self) -> &str {
        match self {
            Self::Deployment | Self::Database(_) => "$cmd.aggregate",
            Self::Collection { collection, .. } => collection,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment => f.write_str("the whole deployment"),
            Self::Database(database) => write!(f, "database '{database}'"),
            Self::Collection { database, collection } => {
                write!(f, "collection '{database}.{collection}'")
            }
        }
    }
}

/// `fullDocument`: which state of a changed document comes with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullDocument {
    /// None.
    Default,
    /// The one at the time when the event is read.
    UpdateLookup,
    /// The post-image, if the collection stores one.
    WhenAvailable,
    /// The post-image; without one the stream fails.
    Required,
}

impl FullDocument {
    /// Reads the server's notation; the case counts.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Default, Self::UpdateLookup, Self::WhenAvailable, Self::Required]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }

    /// The server's notation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::UpdateLookup => "updateLookup",
            Self::WhenAvailable => "whenAvailable",
            Self::Required => "required",
        }
    }
}

/// `fullDocumentBeforeChange`: whether the state before the change comes with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullDocumentBeforeChange {
    /// No; what the server does when it is not told. The connector accepts the word, the server
    /// does not.
    Default,
    /// No.
    Off,
    /// If the collection stores pre-images.
    WhenAvailable,
    /// Yes; without one the stream fails.
    Required,
}

impl FullDocumentBeforeChange {
    /// Reads the connector's notation; the case counts.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Default, Self::Off, Self::WhenAvailable, Self::Required]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }

    /// The connector's notation, and but for `default` the server's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Off => "off",
            Self::WhenAvailable => "whenAvailable",
            Self::Required => "required",
        }
    }
}

/// A change stream as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSpec {
    /// The namespaces.
    pub scope: Scope,
    /// Stages behind `$changeStream`, each one whole BSON document.
    pub pipeline: Vec<Vec<u8>>,
    /// State after the change; `None` leaves it to the server.
    pub full_document: Option<FullDocument>,
    /// State before the change; `None` leaves it to the server.
    pub full_document_before_change: Option<FullDocumentBeforeChange>,
    /// Events in a batch at most; `None` lets the server fill 16 MB.
    pub batch_size: Option<u32>,
    /// How long the server waits for an event before it sends an empty batch. Milliseconds; more
    /// than an hour counts as an hour.
    pub await_time_ms: u64,
    /// Events of the schema too (create, rename, index …); servers from 6.0.
    pub show_expanded_events: bool,
    /// How the stages compare texts: one whole BSON document; `None` compares bytes.
    pub collation: Option<Vec<u8>>,
    /// Events above 16 MB are split by the server and joined here; servers from 6.0.9 and 7.0.
    pub split_large_events: bool,
}

/// Where a stream goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResumePosition {
    /// With the first change after the stream is opened.
    Now,
    /// With the first change at or after a cluster time.
    AtOperationTime {
        /// Seconds since 1970-01-01 UTC.
        time: u32,
        /// Counter within the second, from 1.
        increment: u32,
    },
    /// Behind the event, or the end of the batch, that has this resume token: one whole BSON
    /// document.
    After(Vec<u8>),
}

impl ResumePosition {
    /// The cluster time of the position, if it has one and the token tells it: seconds since 1970 and the
    /// counter within the second, 0 if that is not told.
    pub fn cluster_time(&self) -> Option<(u32, u32)> {
        match self {
            Self::Now => None,
            Self::AtOperationTime { time, increment } => Some((*time, *increment)),
            Self::After(token) => token_time(token),
        }
    }

    /// Moves the position behind `token`. The buffer of the last token is used again.
    pub(super) fn move_after(&mut self, token: &[u8]) {
        if let Self::After(last) = self {
            last.clear();
            last.extend_from_slice(token);
        } else {
            *self = Self::After(token.to_vec());
        }
    }
}

/// The cluster time of a resume token (raw BSON), as [`ResumePosition::cluster_time`].
///
/// Tokens begin with the KeyString of a timestamp: `82`, then seconds and counter, all in hexadecimal.
pub fn token_time(token: &[u8]) -> Option<(u32, u32)> {
    let RawValue::String(data) = RawDoc::new(token).ok()?.get(b"_data").ok()?? else {
        return None;
    };
    let (seconds, rest) = data.strip_prefix(b"82")?.split_first_chunk::<8>()?;
    let number = |digits: &[u8; 8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    Some((number(seconds)?, rest.first_chunk().and_then(number).unwrap_or(0)))
}

impl WatchSpec {
    /// Whether the last of `stages` is the one that splits large events.
    pub fn ends_with_split(stages: &[Vec<u8>]) -> bool {
        let last = stages.last().and_then(|stage| RawDoc::new(stage).ok()?.iter().next()?.ok());
        last.is_some_and(|stage| stage.name == SPLIT_STAGE.as_bytes())
    }

    /// What becomes of the fragments of an event; `None`: there are none.
    pub(super) fn fragments(&self) -> Option<Fate> {
        if self.split_large_events {
            Some(Fate::Joined)
        } else {
            Self::ends_with_split(&self.pipeline).then_some(Fate::PassedOn)
        }
    }

    /// The `aggregate` command that opens the stream at `position`.
    ///
    /// For [`ResumePosition::Now`] the first batch is asked to be empty: its post-batch token is
    /// then exactly where the stream begins.
    pub(super) fn write_aggregate(&self, position: &ResumePosition, doc: &mut DocWriter<'_>) {
        match &self.scope {
            Scope::Deployment | Scope::Database(_) => doc.int32("aggregate", 1),
            Scope::Collection { collection, .. } => doc.string("aggregate", collection),
        }
        doc.array("pipeline", |stages| {
            stages.document("0", |stage| {
                stage.document("$changeStream", |options| self.write_options(position, options));
            });
            for (index, stage) in self.pipeline.iter().enumerate() {
                stages.raw_document(&(index + 1).to_string(), stage);
            }
            if self.split_large_events {
                let index = self.pipeline.len() + 1;
                stages.document(&index.to_string(), |stage| stage.document(SPLIT_STAGE, |_| {}));
            }
        });
        doc.document("cursor", |cursor| match position {
            ResumePosition::Now => cursor.int32("batchSize", 0),
            ResumePosition::AtOperationTime { .. } | ResumePosition::After(_) => {
                self.write_batch_size(cursor);
            }
        });
        if let Some(collation) = &self.collation {
            doc.raw_document("collation", collation);
        }
        doc.document("readConcern", |concern| concern.string("level", "majority"));
        doc.string("$db", self.scope.database());
    }

    fn write_options(&self, position: &ResumePosition, options: &mut DocWriter<'_>) {
        if let Some(mode) = self.full_document {
            options.string("fullDocument", mode.as_str());
        }
        match self.full_document_before_change {
            None | Some(FullDocumentBeforeChange::Default) => {}
            Some(mode) => options.string("fullDocumentBeforeChange", mode.as_str()),
        }
        match position {
            ResumePosition::Now => {}
            ResumePosition::AtOperationTime { time, increment } => {
                options.timestamp("startAtOperationTime", *time, *increment);
            }
            ResumePosition::After(token) => options.raw_document("startAfter", token),
        }
        if self.show_expanded_events {
            options.boolean("showExpandedEvents", true);
        }
        if self.scope == Scope::Deployment {
            options.boolean("allChangesForCluster", true);
        }
    }

    /// The `getMore` command for the server's cursor.
    pub(super) fn write_get_more(&self, cursor_id: i64, doc: &mut DocWriter<'_>) {
        doc.int64("getMore", cursor_id);
        doc.string("collection", self.scope.cursor_collection());
        self.write_batch_size(doc);
        doc.int64("maxTimeMS", i64::try_from(self.await_time_ms_used()).unwrap_or(i64::MAX));
        doc.string("$db", self.scope.database());
    }

    /// The await time as it is asked for. Milliseconds.
    pub(super) fn await_time_ms_used(&self) -> u64 {
        self.await_time_ms.min(AWAIT_TIME_MS_MAX)
    }

    fn write_batch_size(&self, doc: &mut DocWriter<'_>) {
        if let Some(events) = self.batch_size {
            doc.int32("batchSize", i32::try_from(events).unwrap_or(i32::MAX));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mongo::bson_write::write_document;
    use bson::{Bson, Document, doc};

    pub(crate) fn spec(scope: Scope) -> WatchSpec {
        WatchSpec {
            scope,
            pipeline: Vec::new(),
            full_document: None,
            full_document_before_change: None,
            batch_size: None,
            await_time_ms: 5_000,
            show_expanded_events: false,
            collation: None,
            split_large_events: false,
        }
    }

    fn read(fill: impl FnOnce(&mut DocWriter<'_>)) -> Document {
        let mut bytes = Vec::new();
        write_document(&mut bytes, fill);
        Document::from_reader(bytes.as_slice()).expect("valid BSON")
    }

    fn collection() -> Scope {
        Scope::Collection { database: "d".to_owned(), collection: "c".to_owned() }
    }

    #[test]
    fn each_scope_is_asked_for_in_its_own_way() {
        let aggregate = |scope| read(|doc| spec(scope).write_aggregate(&ResumePosition::Now, doc));
        let want = |aggregate: Bson, options: Document, db: &str| {
            doc! {
                "aggregate": aggregate,
                "pipeline": [{ "$changeStream": options }],
                "cursor": { "batchSize": 0 },
                "readConcern": { "level": "majority" },
                "$db": db,
            }
        };
        let deployment = want(1.into(), doc! { "allChangesForCluster": true }, "admin");
        assert_eq!(aggregate(Scope::Deployment), deployment);
        assert_eq!(aggregate(Scope::Database("d".to_owned())), want(1.into(), doc! {}, "d"));
        assert_eq!(aggregate(collection()), want("c".into(), doc! {}, "d"));
    }

    #[test]
    fn options_stages_and_token_are_written_in_order() {
        let token = doc! { "_data": "82" };
        let spec = WatchSpec {
            pipeline: vec![doc! { "$match": { "a": 1 } }.to_vec().unwrap()],
            full_document: Some(FullDocument::UpdateLookup),
            full_document_before_change: Some(FullDocumentBeforeChange::Required),
            batch_size: Some(10),
            show_expanded_events: true,
            collation: Some(doc! { "locale": "de" }.to_vec().unwrap()),
            ..spec(collection())
        };
        let position = ResumePosition::After(token.to_vec().unwrap());
        let got = read(|doc| spec.write_aggregate(&position, doc));
        let options = doc! {
            "fullDocument": "updateLookup",
            "fullDocumentBeforeChange": "required",
            "startAfter": token,
            "showExpandedEvents": true,
        };
        let want: Bson =
            vec![doc! { "$changeStream": options }, doc! { "$match": { "a": 1 } }].into();
        assert_eq!(got.get("pipeline"), Some(&want));
        assert_eq!(got.get("cursor"), Some(&doc! { "batchSize": 10 }.into()));
        assert_eq!(got.get("collation"), Some(&doc! { "locale": "de" }.into()));
    }

    #[test]
    fn the_stage_that_splits_comes_last_and_is_known_in_a_pipeline_of_others() {
        let [stage, split] =
            [doc! { "$match": {} }, doc! { SPLIT_STAGE: {} }].map(|stage| stage.to_vec().unwrap());
        let spec = |pipeline: &[&Vec<u8>], split_large_events| WatchSpec {
            pipeline: pipeline.iter().copied().cloned().collect(),
            split_large_events,
            ..spec(collection())
        };
        let joined = spec(&[&stage], true);
        let got = read(|doc| joined.write_aggregate(&ResumePosition::Now, doc));
        let stages = got.get_array("pipeline").unwrap();
        assert_eq!(stages[1..], [doc! { "$match": {} }.into(), doc! { SPLIT_STAGE: {} }.into()]);
        assert_eq!(joined.fragments(), Some(Fate::Joined));
        assert_eq!(spec(&[&stage, &split], false).fragments(), Some(Fate::PassedOn));
        assert_eq!(spec(&[&split, &stage], false).fragments(), None);
        assert_eq!(spec(&[], false).fragments(), None);
    }

    #[test]
    fn a_token_tells_its_time() {
        let after = |data: &str| {
            ResumePosition::After(doc! { "_data": data }.to_vec().unwrap()).cluster_time()
        };
        assert_eq!(after("8263A1B2C3000000022B0229296E04"), Some((0x63A1_B2C3, 2)));
        assert_eq!(after("8263A1B2C3000000"), Some((0x63A1_B2C3, 0)));
        assert_eq!(after("8263A1B2"), None);
        assert_eq!(after("+263A1B2C300"), None);
        assert_eq!(ResumePosition::After(vec![1]).cluster_time(), None);
        assert_eq!(ResumePosition::Now.cluster_time(), None);
    }

    #[test]
    fn get_more_names_the_collection_of_the_cursor() {
        let got = read(|doc| spec(Scope::Database("d".to_owned())).write_get_more(7, doc));
        let want = doc! {
            "getMore": 7_i64, "collection": "$cmd.aggregate", "maxTimeMS": 5_000_i64, "$db": "d",
        };
        assert_eq!(got, want);
        let got = read(|doc| spec(collection()).write_get_more(7, doc));
        assert_eq!(got.get_str("collection").ok(), Some("c"));
    }

    #[test]
    fn image_modes_are_read_as_the_connector_writes_them() {
        assert_eq!(FullDocument::parse("updateLookup"), Some(FullDocument::UpdateLookup));
        assert_eq!(FullDocument::parse("UPDATELOOKUP"), None);
        let off = FullDocumentBeforeChange::parse("off");
        assert_eq!(off, Some(FullDocumentBeforeChange::Off));
        assert_eq!(FullDocumentBeforeChange::parse(""), None);
    }
}
