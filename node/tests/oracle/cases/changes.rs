//! What happens to documents, collections and databases: kinds of updates, transactions, drops, renames, indexes.

use anyhow::Result;
use bson::{Document, doc};

use crate::case::{Case, EVENTS, Place};
use crate::trial::trial;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_transactions_and_changes_of_collections_have_javas_records() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("updates", |place| Box::pin(updates(place)))
            .strings()
            .shows(r#""removedFields": ["#)
            .shows(r#""truncatedArrays": [{"field": "#),
        Case::new("expanded_updates", |place| Box::pin(updates(place)))
            .strings()
            .set("change.stream.show.expanded.events", "true")
            .shows(r#""collectionUUID": {"$binary": "#),
        Case::new("transactions", |place| Box::pin(transactions(place)))
            .strings()
            .shows(r#""txnNumber": {"$numberLong": "#)
            .shows(r#""lsid": {"id": {"$binary": "#),
        Case::new("collections", |place| Box::pin(collections(place)))
            .strings()
            .whole_database()
            .shows(r#""operationType": "drop""#)
            .shows(r#""operationType": "rename""#),
        Case::new("expanded_events", |place| Box::pin(collections(place)))
            .whole_database()
            .set("change.stream.show.expanded.events", "true")
            .shows(r#"\"operationType\": \"create\""#)
            .shows(r#"\"operationType\": \"createIndexes\""#)
            .shows(r#"\"operationType\": \"modify\""#),
        // The server closes the stream of a collection or database that is gone.
        Case::new("dropped", |place| Box::pin(dropped(place)))
            .strings()
            .last(r#""operationType": "drop""#),
        Case::new("renamed", |place| Box::pin(renamed(place)))
            .strings()
            .last(r#""operationType": "rename""#),
        Case::new("dropped_database", |place| Box::pin(dropped_database(place)))
            .strings()
            .whole_database()
            .last(r#""operationType": "dropDatabase""#),
    ]
}

/// Every way in which the description of an update can look.
async fn updates(place: Place) -> Result<()> {
    let events = place.events();
    let numbers: Vec<i32> = (0..10).collect();
    events
        .insert_one(doc! {
            "_id": 1, "a": { "b": { "c": 1, "d": [1, { "e": 2 }] } }, "list": &numbers, "0": { "1": 1 },
            "x": 1, "y": "é", "z": null,
        })
        .await?;
    let steps = [
        doc! { "$set": { "a.b.c": 2, "a.b.d.1.e": 3_i64, "new": f64::NEG_INFINITY } },
        doc! { "$unset": { "x": "", "a.b.d": "" } },
        doc! { "$rename": { "y": "why" }, "$inc": { "count": 1 }, "$currentDate": { "now": true } },
        doc! { "$push": { "list": { "$each": [10, 11], "$slice": 9 } } },
        doc! { "$pop": { "list": 1 } },
        doc! { "$set": { "list.3": { "deep": [[], {}] }, "0.1": 2, "numbered.0.1": "names, not places" } },
        doc! { "$set": { "": "no name", "a.": 1 } },
        doc! { "$unset": { "z": "", "new": "", "why": "" } },
    ];
    for step in steps {
        // Which names a server takes is its own affair: what it refuses is no event.
        let _ = events.update_one(doc! { "_id": 1 }, step).await;
    }
    // Pipelines: the server works the difference out, and cuts arrays.
    for stages in [
        vec![doc! { "$set": { "list": { "$slice": ["$list", 3] } } }],
        vec![
            doc! { "$set": { "list": { "$slice": ["$list", 1] }, "a.b.c": "$$NOW" } },
            doc! { "$unset": "0" },
        ],
        vec![doc! { "$replaceWith": { "_id": 1, "only": { "$literal": "$this" } } }],
    ] {
        events.update_one(doc! { "_id": 1 }, stages).await?;
    }
    // An update that changes nothing is no event; one that finds nothing may insert.
    events.update_one(doc! { "_id": 1 }, doc! { "$set": { "only": "$this" } }).await?;
    events.update_one(doc! { "_id": 2 }, doc! { "$set": { "v": 1 } }).upsert(true).await?;
    events.find_one_and_delete(doc! { "_id": 2 }).await?;
    Ok(())
}

/// Two that are committed and one that is not.
async fn transactions(place: Place) -> Result<()> {
    let events = place.events();
    events.insert_one(doc! { "_id": 0 }).await?;
    let mut session = place.client.start_session().await?;
    for number in 1..4 {
        session.start_transaction().await?;
        for part in 0..3 {
            let id = 10 * number + part;
            events.insert_one(doc! { "_id": id, "part": part }).session(&mut session).await?;
        }
        let update = doc! { "$set": { "in": number } };
        events.update_one(doc! { "_id": 0 }, update).session(&mut session).await?;
        if number == 2 {
            session.abort_transaction().await?;
        } else {
            session.commit_transaction().await?;
        }
    }
    Ok(())
}

/// Collections come, change their settings, get other names and go.
async fn collections(place: Place) -> Result<()> {
    let database = place.database();
    for command in [
        doc! { "create": "first", "validator": { "a": { "$gt": 1 } } },
        doc! { "createIndexes": "first", "indexes": [{ "key": { "b": 1 }, "name": "b" }] },
        doc! { "insert": "first", "documents": [{ "_id": 1, "a": 2 }] },
        doc! { "collMod": "first", "validator": {}, "index": { "name": "b", "hidden": true } },
        doc! { "dropIndexes": "first", "index": "b" },
        doc! { "create": "view", "viewOn": "first", "pipeline": [] },
        doc! { "create": "sized", "capped": true, "size": 100_000 },
        doc! { "insert": "with.dots-and_more", "documents": [{ "_id": 1 }] },
        doc! { "insert": "first", "documents": [{ "_id": 2 }, { "_id": 3 }] },
        doc! { "drop": "with.dots-and_more" },
    ] {
        database.run_command(command).await?;
    }
    rename(&place, "first", "second").await?;
    database.collection("second").insert_one(doc! { "_id": 4 }).await?;
    database.collection::<Document>("third").insert_one(doc! { "_id": 5 }).await?;
    rename(&place, "second", "third").await?;
    database.collection::<Document>("third").drop().await?;
    Ok(())
}

async fn rename(place: &Place, from: &str, to: &str) -> Result<()> {
    let [from, to] = [from, to].map(|name| format!("{}.{name}", place.name));
    let command = doc! { "renameCollection": from, "to": to, "dropTarget": true };
    place.client.database("admin").run_command(command).await?;
    Ok(())
}

async fn dropped(place: Place) -> Result<()> {
    place.events().insert_many((0..3).map(|id| doc! { "_id": id })).await?;
    place.events().drop().await?;
    Ok(())
}

async fn renamed(place: Place) -> Result<()> {
    place.events().insert_many((0..3).map(|id| doc! { "_id": id })).await?;
    rename(&place, EVENTS, "elsewhere").await
}

async fn dropped_database(place: Place) -> Result<()> {
    place.events().insert_one(doc! { "_id": 1 }).await?;
    place.collection("other").insert_one(doc! { "_id": 2 }).await?;
    place.database().drop().await?;
    Ok(())
}
