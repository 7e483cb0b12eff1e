//! What of an event is published, and which documents it carries: full documents, look-ups, images, tombstones.
//!
//! What a look-up finds depends on when the server looks. So a document that is updated here is not touched again, or
//! is gone before either side has begun to read.

use anyhow::Result;
use bson::doc;

use crate::case::{Case, EVENTS, Place, START_TIME, Write};
use crate::trial::trial;

const CONTENT: Write = |place| Box::pin(each_kind_once(place));
const IMAGES: Write = |place| Box::pin(collection_with_images(place));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_documents_and_tombstones_are_javas() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    let only = |name, content| Case::new(name, content).set("publish.full.document.only", "true");
    let tombstones = |name, content| {
        only(name, content)
            .set("publish.full.document.only.tombstone.on.delete", "true")
            .shows_tombstone()
    };
    let images = |name, before: &str, after: &str| {
        Case::new(name, CONTENT)
            .strings()
            .before(IMAGES)
            .set("change.stream.full.document.before.change", before)
            .set("change.stream.full.document", after)
    };
    let since_start = |case: Case| {
        case.before(|place| Box::pin(documents_that_are_gone(place)))
            .set("startup.mode", "timestamp")
            .set("startup.mode.timestamp.start.at.operation.time", START_TIME)
    };
    vec![
        only("documents", CONTENT).strings().shows(r#"{"_id": 2, "a": 1, "updated": true}"#),
        only("raw_documents", CONTENT)
            .set("output.format.value", "bson")
            .set("value.converter", "org.apache.kafka.connect.converters.ByteArrayConverter")
            .shows("updated\0"),
        tombstones("tombstones", CONTENT).strings(),
        tombstones("tombstones_in_json", CONTENT),
        tombstones("tombstones_of_a_drop", |place| Box::pin(other_collection_dropped(place)))
            .strings()
            .whole_database()
            .shows(r#"{"_id": {"_data": "#),
        since_start(tombstones("documents_gone", CONTENT)).strings(),
        since_start(
            Case::new("look_ups_gone", CONTENT).set("change.stream.full.document", "updateLookup"),
        )
        .strings()
        .shows(r#""fullDocument": null"#),
        Case::new("look_ups", CONTENT)
            .strings()
            .set("change.stream.full.document", "updateLookup")
            .shows(r#""fullDocument": {"_id": 2, "a": 1, "updated": true}"#),
        images("images_required", "required", "required")
            .shows(r#""fullDocumentBeforeChange": {"_id": 2"#),
        images("images_available", "whenAvailable", "whenAvailable")
            .shows(r#""fullDocumentBeforeChange": {"_id": 2"#),
        images("images_off", "off", "default").shows(r#""operationType": "update""#),
        Case::new("images_missing", CONTENT)
            .strings()
            .set("change.stream.full.document.before.change", "whenAvailable")
            .set("change.stream.full.document", "whenAvailable")
            .shows(r#""fullDocumentBeforeChange": null"#),
    ]
}

pub(super) async fn each_kind_once(place: Place) -> Result<()> {
    let events = place.events();
    events.insert_many((0..4).map(|id| doc! { "_id": id, "a": 1 })).await?;
    events.replace_one(doc! { "_id": 1 }, doc! { "replaced": true }).await?;
    events.update_one(doc! { "_id": 2 }, doc! { "$set": { "updated": true } }).await?;
    events.delete_one(doc! { "_id": 3 }).await?;
    Ok(())
}

async fn other_collection_dropped(place: Place) -> Result<()> {
    each_kind_once(place.clone()).await?;
    place.collection("other").insert_one(doc! { "_id": 1 }).await?;
    place.collection("other").drop().await?;
    Ok(())
}

/// Documents that are updated and then deleted: every look-up comes too late.
async fn documents_that_are_gone(place: Place) -> Result<()> {
    for id in 100..103 {
        place.events().insert_one(doc! { "_id": id }).await?;
        place.events().update_one(doc! { "_id": id }, doc! { "$set": { "a": id } }).await?;
        place.events().delete_one(doc! { "_id": id }).await?;
    }
    Ok(())
}

async fn collection_with_images(place: Place) -> Result<()> {
    let create = doc! { "create": EVENTS, "changeStreamPreAndPostImages": { "enabled": true } };
    place.database().run_command(create).await?;
    Ok(())
}
