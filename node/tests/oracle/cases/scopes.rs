//! What is watched, where it starts, what a pipeline makes of it, and which topics and partitions it goes to.

use anyhow::Result;
use bson::doc;

use crate::case::{Case, EVENTS, LANE, Place, START_TIME, Write};
use crate::trial::trial;

const CONTENT: Write = |place| Box::pin(four_collections(place));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_pipelines_topics_and_partitions_are_javas() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("collection", CONTENT).strings().shows(r#""coll": "events""#),
        Case::new("database", CONTENT).strings().whole_database().shows(r#""coll": "other""#),
        // Only this case's databases: the others write to the same deployment.
        Case::new("deployment", |place| Box::pin(second_database_dropped(place)))
            .strings()
            .set("database", "")
            .whole_database()
            .set("topic.prefix", "all")
            .set("pipeline", r#"[{"$match": {"ns.db": {"$regex": "^oracle_deployment"}}}]"#)
            .shows(r#""operationType": "dropDatabase""#)
            .shows(r#""db": "oracle_deployment_second""#),
        Case::new("filtered", CONTENT)
            .strings()
            .set(
                "pipeline",
                r#"[{"$match": {"$or": [{"fullDocument.keep": {"$gte": {"$numberInt": "2"}}},
                                        {"documentKey._id": {"$type": "string"}}]}},
                    {"$addFields": {"by": "a \"pipeline\"", "at": {"$numberDecimal": "1E+3"}, "n": 1.5}},
                    {"$unset": ["wallTime", "lsid"]}]"#,
            )
            .shows(r#""by": "a \"pipeline\"""#),
        Case::new("reshaped", CONTENT)
            .strings()
            .set("pipeline", r#"[{"$project": {"ns": 1, "documentKey": 1, "is": "$fullDocument.keep"}}]"#)
            .shows(r#""is": 3}"#),
        Case::new("prefix_with_separator", CONTENT).strings().set("topic.prefix", "eu."),
        Case::new("prefix_and_suffix", CONTENT)
            .strings()
            .whole_database()
            .set("topic.prefix", "eu")
            .set("topic.separator", "-")
            .set("topic.suffix", "v1"),
        Case::new("suffix", CONTENT).strings().set("topic.suffix", "v1").set("topic.separator", "--"),
        Case::new("topic_map", |place| Box::pin(collections_of_many_names(place)))
            .strings()
            .whole_database()
            .set("topic.prefix", "eu")
            .set("topic.separator", "-")
            .set(
                "topic.namespace.map",
                r#"{"oracle_topic_map.exact": "unseen", "*": "rest-oracle_topic_map",
                    "/.*\\.(?!o|e)[a-f]++\\d{2,}+": "of{sep}{db}{sep_coll_sep}numbered",
                    "/.*\\.(?i)OTHER(?-i)s?$": "{coll_sep}others-{db}",
                    "/.*\\.other.*": "never-{db}", "/.*\\.\\Qo+\\E": "plus-{db}{sep_coll}",
                    "oracle_topic_map.exact": "exact-oracle_topic_map",
                    "/.*\\.o.*": "", "oracle_topic_map.empty": ""}"#,
            )
            .shows(r#""coll": "abc12""#)
            .shows(r#""coll": "Others""#),
        Case::new("topic_map_of_databases", CONTENT)
            .strings()
            .set("database", "")
            .whole_database()
            .set("pipeline", r#"[{"$match": {"ns.db": {"$regex": "^oracle_topic_map_of_databases"}}}]"#)
            .set("topic.prefix", "dbs.")
            .set("topic.namespace.map", r#"{"oracle_topic_map_of_databases": "one.oracle_topic_map_of_databases"}"#)
            .shows(r#""db": "oracle_topic_map_of_databases_second""#),
        Case::new("many_partitions", |place| Box::pin(many_keys(place)))
            .strings()
            .set("topic.creation.default.partitions", "7")
            .set("topic.creation.default.replication.factor", "1"),
        Case::new("small_batches", CONTENT)
            .strings()
            .set("batch.size", "1")
            .set("poll.max.batch.size", "2"),
        Case::new("since_a_time", CONTENT)
            .strings()
            .before(|place| Box::pin(backlog(place)))
            .set("startup.mode", "timestamp")
            .set("startup.mode.timestamp.start.at.operation.time", START_TIME)
            .shows("from before"),
        Case::new("collated", |place| Box::pin(names_in_both_cases(place)))
            .strings()
            .set(
                "pipeline",
                r#"[{"$match": {"$or": [{"fullDocument.name": "wanted"}, {"documentKey._id": {"$type": "string"}}]}}]"#,
            )
            .set("collation", r#"{"strength": 1, "locale": "de", "unknown": 1}"#)
            .shows(r#""name": "WANTED""#)
            .shows("\"name\": \"w\u{e4}nted\""),
        Case::new("stable_api", CONTENT)
            .strings()
            .set("server.api.version", "1")
            .set("server.api.strict", "true")
            .set("server.api.deprecation.errors", "true"),
        Case::new("tolerant", CONTENT)
            .strings()
            .set("errors.tolerance", "none")
            .set("mongo.errors.tolerance", "all")
            .set("errors.log.enable", "true")
            .set("errors.deadletterqueue.topic.name", &format!("{LANE}-dead-letters-of-oracle_tolerant")),
        Case::new("from_now", CONTENT).strings().before(|place| Box::pin(backlog(place))),
    ]
}

async fn four_collections(place: Place) -> Result<()> {
    for database in [place.database(), place.second_database()] {
        for name in [EVENTS, "other"] {
            let documents = (0..4).map(|keep| doc! { "_id": keep, "keep": keep });
            database.collection(name).insert_many(documents).await?;
        }
    }
    place.events().delete_one(doc! { "_id": 0 }).await?;
    Ok(())
}

async fn second_database_dropped(place: Place) -> Result<()> {
    four_collections(place.clone()).await?;
    place.second_database().drop().await?;
    Ok(())
}

async fn collections_of_many_names(place: Place) -> Result<()> {
    for name in [
        EVENTS,
        "exact",
        "empty",
        "abc12",
        "abc1",
        "abcd123",
        "other",
        "Others",
        "OTHERS",
        "others2",
        "orders",
        "abc12.other",
        "x",
    ] {
        place.collection(name).insert_one(doc! { "_id": name }).await?;
    }
    place.collection("x").drop().await?;
    Ok(())
}

async fn names_in_both_cases(place: Place) -> Result<()> {
    let names = ["wanted", "WANTED", "unwanted", "w\u{e4}nted", "want"];
    place.events().insert_many(names.map(|name| doc! { "name": name })).await?;
    Ok(())
}

async fn many_keys(place: Place) -> Result<()> {
    let documents = (0..500).map(|number| match number % 3 {
        0 => doc! { "_id": number },
        1 => doc! { "_id": format!("key é {number}") },
        _ => doc! { "_id": { "part": number, "of": [number] } },
    });
    place.events().insert_many(documents).await?;
    place.events().update_many(doc! {}, doc! { "$set": { "updated": true } }).await?;
    Ok(())
}

async fn backlog(place: Place) -> Result<()> {
    let documents = (100..200).map(|id| doc! { "_id": id, "text": "from before" });
    place.events().insert_many(documents).await?;
    Ok(())
}
