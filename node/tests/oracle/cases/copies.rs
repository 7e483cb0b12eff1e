//! What is there before the connector starts: copied documents of every type, from several collections, through
//! pipelines, as documents alone, chosen by a regular expression; and the stream behind the copy.

use std::time::Duration;

use anyhow::{Result, ensure};
use bson::raw::RawBsonRef;
use bson::{doc, rawdoc};

use super::envelopes::{array, golden};
use crate::case::{Case, EVENTS, Place, Write};
use crate::trial::trial;

/// What is written behind the copy must not be copied, too; by then both sides have long read their few documents.
pub(super) const COPY_LASTS_MAX: Duration = Duration::from_secs(6);

const BEHIND: Write = |place| Box::pin(written_behind_the_copy(place));
const TYPES: Write = |place| Box::pin(every_type(place));
const COLLECTIONS: Write = |place| Box::pin(several_collections(place));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copied_documents_and_the_stream_behind_them_are_javas() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
    const SIMPLIFIED: &str = "com.mongodb.kafka.connect.source.json.formatter.SimplifiedJson";
    let copy =
        |name, before| Case::new(name, BEHIND).before(before).set("startup.mode", "copy_existing");
    vec![
        copy("copy_types", TYPES)
            .strings()
            .shows(r#""copyingData": true}, "operationType": "insert", "documentKey": {"_id": "#)
            .shows(r#"behind the copy"#),
        copy("copy_envelopes", TYPES).shows(r#"\"copyingData\": true"#),
        Case::new("copy_raw", BEHIND)
            .before(TYPES)
            .set("copy.existing", "true")
            .set("change.stream.document.key.as.key", "false")
            .set("output.format.key", "bson")
            .set("output.format.value", "bson")
            .set("key.converter", BYTES)
            .set("value.converter", BYTES)
            .shows("copyingData\0"),
        copy("copy_documents", TYPES)
            .strings()
            .set("publish.full.document.only", "true")
            .set("output.json.formatter", SIMPLIFIED)
            .shows(r#"{"_id": 0, "value": {"#),
        copy("copy_collections", COLLECTIONS)
            .strings()
            .whole_database()
            .set("startup.mode.copy.existing.max.threads", "2")
            .shows(r#""coll": "other""#)
            .shows(r#""coll": "view"#),
        copy("copy_chosen", COLLECTIONS)
            .strings()
            .whole_database()
            .set("startup.mode.copy.existing.namespace.regex", r"n\.(?=ev)|chosen\.o.+er$")
            .shows(r#""coll": "other""#),
        copy("copy_pattern", |place| Box::pin(collections_that_engines_choose_differently(place)))
            .strings()
            .whole_database()
            .set(
                "startup.mode.copy.existing.namespace.regex",
                r"(?i:\.é)|(?<=pattern\.)o++t|_\p{Upper}\p{Alpha}+$|\.a++ab|^\w+\.(?>a|ab)c$",
            )
            // Kafka takes no such letters.
            .set(
                "topic.namespace.map",
                r#"{"oracle_copy_pattern.école": "oracle_copy_pattern.ecole",
                    "oracle_copy_pattern.éc": "oracle_copy_pattern.ec"}"#,
            )
            .shows(r#""coll": "other""#)
            .shows(r#""coll": "the_Third""#)
            .shows(r#""coll": "école""#),
        copy("copy_none", COLLECTIONS)
            .strings()
            .set("startup.mode.copy.existing.namespace.regex", "^other")
            .shows("behind the copy"),
        copy("copy_deployment", COLLECTIONS)
            .strings()
            .set("database", "")
            .whole_database()
            .set("topic.prefix", "all")
            .set("startup.mode.copy.existing.namespace.regex", "^oracle_copy_deployment")
            .set("pipeline", r#"[{"$match": {"ns.db": {"$regex": "^oracle_copy_deployment"}}}]"#)
            .shows(r#""db": "oracle_copy_deployment_second""#),
        copy("copy_pipelined", COLLECTIONS)
            .strings()
            .set(
                "startup.mode.copy.existing.pipeline",
                r#"[{"$match": {"keep": {"$gte": 1}}}, {"$unset": "secret"}]"#,
            )
            .set(
                "pipeline",
                r#"[{"$match": {"fullDocument.keep": {"$ne": 2}}}, {"$addFields": {"by": "me"}}]"#,
            )
            .shows(r#""by": "me", "ns": {"#),
        copy("copy_reshaped", COLLECTIONS)
            .strings()
            .set("startup.mode.copy.existing.pipeline", r#"[{"$project": {"_id": 0, "keep": 1}}]"#)
            .shows(r#""documentKey": {}"#),
    ]
}

/// A document with each golden value as a field, and one with each that may be an `_id`.
async fn every_type(place: Place) -> Result<()> {
    let documents =
        (0_i32..).zip(golden()?).map(|(id, value)| rawdoc! { "_id": id, "value": value });
    let insert = rawdoc! { "insert": EVENTS, "documents": array(documents) };
    let reply = place.database().run_raw_command(insert).await?;
    ensure!(reply.get_i32("n")? as usize == golden()?.len(), "some were refused: {reply}");
    for document in golden()? {
        let mut fields = document.iter();
        let (Some(Ok((name, id))), None) = (fields.next(), fields.next()) else { continue };
        // Numbers may be equal to one that is there.
        let is_number = matches!(
            id,
            RawBsonRef::Double(_)
                | RawBsonRef::Int32(_)
                | RawBsonRef::Int64(_)
                | RawBsonRef::Decimal128(_)
        );
        if name.as_str() != "a" || is_number || matches!(id, RawBsonRef::Undefined) {
            continue;
        }
        let document = rawdoc! { "_id": id, "is": "an id" };
        // Arrays and regular expressions are refused.
        let insert = rawdoc! { "insert": EVENTS, "documents": array([document]) };
        place.database().run_raw_command(insert).await?;
    }
    Ok(())
}

async fn several_collections(place: Place) -> Result<()> {
    for database in [place.database(), place.second_database()] {
        for name in [EVENTS, "other", "third"] {
            let documents = (0..250).map(|keep| doc! { "_id": keep, "keep": keep, "secret": 1 });
            database.collection(name).insert_many(documents).await?;
        }
        let pipeline = vec![doc! { "$match": { "keep": { "$lt": 3 } } }];
        database.create_collection("view").view_on(EVENTS).pipeline(pipeline).await?;
    }
    Ok(())
}

/// The server's own engine would take `École`, or refuse the expression.
async fn collections_that_engines_choose_differently(place: Place) -> Result<()> {
    for name in ["École", "école", "other", "the_Third", "the_ÉCOLE", "aaab", "abc", "éc"] {
        place.collection(name).insert_one(doc! { "_id": name }).await?;
    }
    Ok(())
}

async fn written_behind_the_copy(place: Place) -> Result<()> {
    tokio::time::sleep(COPY_LASTS_MAX).await;
    let text = "behind the copy";
    place.events().insert_one(doc! { "_id": text, "keep": 5, "text": text }).await?;
    place.events().delete_one(doc! { "_id": 1 }).await?;
    Ok(())
}
