//! What a copy asks the server, in its own words.
//!
//! ```text
//!  listDatabases, listCollections     which collections there are
//!  aggregate $collStats               how large a collection is, and of which kind
//!  aggregate $sample                  documents at random, sorted: where to cut it
//!  find      min, max, hint, sort     a range by the index on _id; whole collections without these
//!  aggregate [ copy pipeline, event, pipeline ]     where the server has to work on the documents
//! ```
//!
//! `min` and `max` are bounds of the index, so a range holds ids of every type between them, which `$gte` and `$lt`
//! of a filter would not. Reads are of the primary and not of the majority: a new primary has every document that the
//! majority had, but may not know yet that they had it. A document that is rolled back later may thus be copied.

use super::event::NAMESPACE_ALIAS;
use super::piece::{Namespace, Piece};
use crate::java_pattern::{JavaPattern, TooCostly};
use crate::mongo::bson_write::DocWriter;
use crate::mongo::session_error::SessionError;
use crate::mongo::watch::{Scope, WatchSpec};

/// What is copied, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopySpec {
    /// Stages before all else, each one whole BSON document (`startup.mode.copy.existing.pipeline`).
    pub pipeline: Vec<Vec<u8>>,
    /// Only collections in whose `database.collection` it finds a part
    /// (`startup.mode.copy.existing.namespace.regex`).
    pub namespace_regex: Option<JavaPattern>,
    /// Whether stages may use the server's disk (`startup.mode.copy.existing.allow.disk.use`).
    pub allow_disk_use: bool,
    /// Connections at a time (`startup.mode.copy.existing.max.threads`); at least one is used.
    pub threads_max: usize,
}

impl CopySpec {
    /// Whether a piece is of a collection that is copied.
    ///
    /// # Errors
    /// [`SessionError::NamespacePattern`].
    pub(super) fn chooses(&self, piece: &Piece) -> Result<bool, SessionError> {
        let (Some(pattern), Some(namespace)) = (&self.namespace_regex, piece.namespace()) else {
            return Ok(true);
        };
        let Namespace { database, collection } = namespace;
        let namespace = format!("{database}.{collection}");
        pattern.is_match(&namespace).map_err(|TooCostly| SessionError::NamespacePattern {
            pattern: pattern.as_str().to_owned(),
            namespace,
        })
    }
}

/// How the documents of a collection become events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// We make them; the server sends the documents.
    Node,
    /// The server makes them, because a pipeline works on them.
    Server,
}

impl Maker {
    pub(super) fn of(watch: &WatchSpec) -> Self {
        if watch.pipeline.is_empty() { Self::Node } else { Self::Server }
    }
}

pub(super) fn write_list_databases(doc: &mut DocWriter<'_>) {
    doc.int32("listDatabases", 1);
    doc.boolean("nameOnly", true);
    doc.string("$db", "admin");
}

/// The collections of `database` that are in `scope`.
pub(super) fn write_list_collections(scope: &Scope, database: &str, doc: &mut DocWriter<'_>) {
    doc.int32("listCollections", 1);
    doc.document("filter", |filter| {
        if let Scope::Collection { collection, .. } = scope {
            filter.string("name", collection);
        }
    });
    doc.boolean("nameOnly", true);
    doc.string("$db", database);
}

/// Answered with `{ count, size, plain }`, by each shard.
pub(super) fn write_measure(namespace: &Namespace, doc: &mut DocWriter<'_>) {
    doc.string("aggregate", &namespace.collection);
    doc.array("pipeline", |stages| {
        stages.document("0", |stage| {
            stage.document("$collStats", |wanted| wanted.document("storageStats", |_| {}));
        });
        stages.document("1", |stage| {
            stage.document("$project", |fields| {
                fields.string("count", "$storageStats.count");
                fields.string("size", "$storageStats.size");
                fields.document("plain", |plain| {
                    plain.array("$and", |all| {
                        all.document("0", |part| {
                            part.array("$ne", |pair| {
                                pair.string("0", "$storageStats.capped");
                                pair.boolean("1", true);
                            });
                        });
                        all.document("1", |part| {
                            part.array("$eq", |pair| {
                                pair.document("0", |part| {
                                    part.string("$type", "$storageStats.timeseries");
                                });
                                pair.string("1", "missing");
                            });
                        });
                    });
                });
            });
        });
    });
    doc.document("cursor", |_| {});
    doc.string("$db", &namespace.database);
}

/// Answered with the `_id` of up to `documents` documents in order.
pub(super) fn write_sample(namespace: &Namespace, documents: i64, doc: &mut DocWriter<'_>) {
    doc.string("aggregate", &namespace.collection);
    doc.array("pipeline", |stages| {
        stages.document("0", |stage| {
            stage.document("$sample", |sample| sample.int64("size", documents));
        });
        stages.document("1", |stage| {
            stage.document("$project", |fields| fields.int32("_id", 1));
        });
        stages.document("2", |stage| stage.document("$sort", |fields| fields.int32("_id", 1)));
    });
    doc.boolean("allowDiskUse", true);
    doc.document("cursor", |_| {});
    doc.string("$db", &namespace.database);
}

/// Reads a part of a collection in the order of `_id`. The sort costs nothing on one server and merges the parts of
/// several.
pub(super) fn write_range(
    namespace: &Namespace,
    from: Option<&[u8]>,
    to: Option<&[u8]>,
    doc: &mut DocWriter<'_>,
) {
    doc.string("find", &namespace.collection);
    doc.document("sort", |keys| keys.int32("_id", 1));
    doc.document("hint", |keys| keys.int32("_id", 1));
    for (name, bound) in [("min", from), ("max", to)] {
        if let Some(bound) = bound {
            doc.raw_document(name, bound);
        }
    }
    doc.string("$db", &namespace.database);
}

/// Reads a collection from end to end.
pub(super) fn write_whole(
    spec: &CopySpec,
    watch: &WatchSpec,
    namespace: &Namespace,
    doc: &mut DocWriter<'_>,
) {
    let maker = Maker::of(watch);
    if maker == Maker::Node && spec.pipeline.is_empty() {
        doc.string("find", &namespace.collection);
        doc.string("$db", &namespace.database);
        return;
    }
    doc.string("aggregate", &namespace.collection);
    doc.array("pipeline", |stages| {
        let mut index = 0..;
        let mut name = || index.next().unwrap_or(i32::MAX).to_string();
        for stage in &spec.pipeline {
            stages.raw_document(&name(), stage);
        }
        if maker == Maker::Node {
            return;
        }
        stages.document(&name(), |stage| write_event_stage(namespace, stage));
        for stage in &watch.pipeline {
            stages.raw_document(&name(), stage);
        }
        stages.document(&name(), |stage| {
            stage.document("$addFields", |fields| fields.string(NAMESPACE_ALIAS, "$ns"));
        });
        stages.document(&name(), |stage| {
            stage.document("$project", |fields| fields.int32("ns", 0));
        });
    });
    doc.boolean("allowDiskUse", spec.allow_disk_use);
    doc.document("cursor", |_| {});
    doc.string("$db", &namespace.database);
}

/// Makes the event of a document, which the pipeline then sees.
fn write_event_stage(namespace: &Namespace, stage: &mut DocWriter<'_>) {
    stage.document("$replaceRoot", |replace| {
        replace.document("newRoot", |event| {
            event.document("_id", |token| {
                token.string("_id", "$_id");
                token.boolean("copyingData", true);
            });
            event.string("operationType", "insert");
            event.document("ns", |ns| {
                for (name, value) in [("db", &namespace.database), ("coll", &namespace.collection)]
                {
                    ns.document(name, |part| part.string("$literal", value));
                }
            });
            event.document("documentKey", |key| key.string("_id", "$_id"));
            event.string("fullDocument", "$$ROOT");
        });
    });
}

/// Ends the cursor of a stream that was opened for its position alone.
pub(super) fn write_kill_cursor(watch: &WatchSpec, cursor_id: i64, doc: &mut DocWriter<'_>) {
    doc.string("killCursors", watch.scope.cursor_collection());
    doc.array("cursors", |cursors| cursors.int64("0", cursor_id));
    doc.string("$db", watch.scope.database());
}
