//! Single message transformations and predicates of Connect's box, in chains over texts, bytes and structs.
//!
//! Where a transformation fails on some documents, Java drops their records and the node makes dead letters of them:
//! that topic does not count. What fails on all of them is left to the laws of `millrace_core::transform`.

use anyhow::Result;
use bson::{Binary, Bson, DateTime, doc, spec::BinarySubtype};

use super::documents::each_kind_once;
use super::envelopes::every_kind_of_every_type;
use crate::case::{Case, LANE, Place, Write};
use crate::trial::trial;

const KINDS: Write = |place| Box::pin(each_kind_once(place));
const TYPES: Write = |place| Box::pin(every_kind_of_every_type(place));
const ORDERS: Write = |place| Box::pin(orders(place));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transformed_records_are_javas() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = of_texts();
    cases.extend(of_structs());
    cases
}

fn documents(name: &str, content: Write) -> Case {
    Case::new(name, content).set("publish.full.document.only", "true")
}

fn tombstones(name: &str) -> Case {
    documents(name, KINDS).set("publish.full.document.only.tombstone.on.delete", "true")
}

fn inferred(name: &str) -> Case {
    documents(name, ORDERS)
        .set("output.format.key", "schema")
        .set("output.format.value", "schema")
        .set("output.schema.infer.value", "true")
}

fn of_texts() -> Vec<Case> {
    vec![
        chain(
            Case::new("smt_route", TYPES).strings(),
            &[
                (
                    "RegexRouter",
                    r"regex=(?<db>\w+)\.(events)\.(.*); replacement=${db}.routed-$2.$3",
                ),
                ("RegexRouter", "regex=routed; replacement=never"),
                ("InsertHeader", "header=number; value.literal=12.0"),
                ("InsertHeader", "header=float; value.literal=-3.14159265358979"),
                ("InsertHeader", "header=double; value.literal=1.5e300"),
                ("InsertHeader", "header=day; value.literal=2024-02-29"),
                ("InsertHeader", "header=moment; value.literal=2024-02-29T23:59:59.007Z"),
                ("InsertHeader", "header=time; value.literal=23:59:59.007Z"),
                ("InsertHeader", "header=truth; value.literal=true"),
                ("InsertHeader", "header=text; value.literal=eu: \"é😀\""),
                ("InsertHeader", "header=cut; value.literal=12:abc"),
                ("InsertHeader", "header=text; value.literal=again"),
                ("InsertHeader", "header=gone; value.literal=x"),
                ("DropHeaders", "headers=gone, never"),
            ],
        )
        .shows("insert"),
        chain(
            Case::new("smt_headers_in_json", KINDS).set("header.converter", JSON),
            &[
                ("InsertHeader", "header=number; value.literal=-129"),
                ("InsertHeader", "header=day; value.literal=2024-02-29"),
                ("InsertHeader", "header=text; value.literal=x"),
            ],
        )
        .shows("insert"),
        chain(
            tombstones("smt_tombstones").strings(),
            &[
                ("HoistField$Value", "field=payload"),
                UNMARKED,
                (
                    "InsertField$Value",
                    "topic.field=to; static.field=by; static.value=é; timestamp.field=at",
                ),
                MARKED,
                ("ReplaceField$Value", "renames=to:topic; exclude=never"),
                ("MaskField$Value", "fields=by"),
                ("HeaderFrom$Value", "fields=topic,by; headers=where,who; operation=copy"),
                ("ValueToKey", "fields=payload, by"),
            ],
        )
        .shows("Struct{"),
        chain(
            tombstones("smt_tombstones_in_json"),
            &[
                ("HoistField$Value", "field=payload"),
                UNMARKED,
                ("InsertField$Value", "topic.field=to; static.field=by; static.value=é"),
                MARKED,
                ("HoistField$Value", "field=outer"),
                ("Flatten$Value", "delimiter=_"),
                ("HeaderFrom$Value", "fields=outer_by; headers=by; operation=move"),
                ("HoistField$Key", "field=k"),
                ("SetSchemaMetadata$Key", "schema.name=the.key; schema.version=3"),
            ],
        )
        .shows(r#""name":"the.key","version":3"#),
        chain(
            tombstones("smt_predicates"),
            &[
                ("Filter", "predicate=gone"),
                ("InsertHeader", "header=seen; value.literal=1; predicate=gone; negate=true"),
                ("InsertHeader", "header=twice; value.literal=2; predicate=seen"),
                ("RegexRouter", "regex=(.*); replacement=bad name; predicate=elsewhere"),
                ("HoistField$Key", "field=id; predicate=seen; negate=false"),
                ("ExtractField$Key", "field=id; predicate=seen; negate=true"),
            ],
        )
        .set("predicates", "gone, seen, elsewhere")
        .set("predicates.gone.type", &predicate("RecordIsTombstone"))
        .set("predicates.seen.type", &predicate("HasHeaderKey"))
        .set("predicates.seen.name", "seen")
        .set("predicates.elsewhere.type", &predicate("TopicNameMatches"))
        .set("predicates.elsewhere.pattern", r".*\.elsewhere\..*")
        .shows(r#""field":"id""#),
        chain(
            documents("smt_bytes", KINDS).set("output.format.value", "bson"),
            &[
                ("Cast$Value", "spec=string"),
                ("HoistField$Value", "field=raw"),
                ("ExtractField$Value", "field=raw"),
            ],
        )
        .shows(r#""type":"string"#),
        chain(
            Case::new("smt_key", KINDS).strings(),
            &[
                ("HoistField$Key", "field=k"),
                ("ExtractField$Key", "field=k"),
                ("ReplaceField$Key", "predicate=never"),
            ],
        )
        .set("predicates", "never")
        .set("predicates.never.type", &predicate("HasHeaderKey"))
        .set("predicates.never.name", "x")
        .shows("insert"),
    ]
}

fn of_structs() -> Vec<Case> {
    let plain = |case: Case| {
        case.set("value.converter", JSON).set("value.converter.schemas.enable", "false")
    };
    vec![
        chain(
            inferred("smt_fields"),
            &[
                UNMARKED,
                (
                    "InsertField$Value",
                    "topic.field=to!; partition.field=p; timestamp.field=at?; \
                     static.field=by; static.value=me",
                ),
                MARKED,
                ("ReplaceField$Value", "exclude=bytes; renames=name:called,count:amount"),
                ("HeaderFrom$Value", "fields=_id,to; headers=id,to; operation=copy"),
                ("HeaderFrom$Value", "fields=by; headers=by; operation=move"),
                ("ValueToKey", "fields=_id,to"),
            ],
        )
        .shows("org.apache.kafka.connect.data.Timestamp"),
        chain(
            inferred("smt_flat"),
            &[
                ("Flatten$Value", ""),
                (
                    "Cast$Value",
                    "spec=count:int8,ratio:int16,when:int64,is:string,bytes:string,name:boolean,\
                     address.zip:float32",
                ),
                ("SetSchemaMetadata$Value", "schema.name=shop.Order; schema.version=2"),
                ("ExtractField$Key", "field=_id"),
            ],
        )
        .shows(r#""name":"shop.Order","version":2"#),
        chain(
            plain(inferred("smt_masked")),
            &[
                ("MaskField$Value", "fields=name,count,ratio,is,when,list,long"),
                ("HoistField$Value", "field=a"),
                ("HoistField$Value", "field=b"),
                ("ExtractField$Value", "field=b.a; field.syntax.version=V2"),
            ],
        )
        .shows(r#""name":"""#),
        chain(
            letters(inferred("smt_text_of_structs")).strings(),
            &[
                ("ReplaceField$Value", "exclude=bytes"),
                ("Cast$Value", "spec=name:int32,when:string,ratio:string,big:float64"),
                ("InsertField$Value", "static.field=last; static.value=é"),
            ],
        )
        .shows("last=é"),
        chain(
            inferred("smt_headers")
                .set("output.schema.infer.value", "false")
                .set("output.schema.value", &ORDER.replace('\n', "")),
            &[(
                "HeaderFrom$Value",
                "fields=list,when,ratio,is,map,long,bytes; headers=a,b,c,d,e,f,g; \
                 operation=move",
            )],
        )
        .shows(r#""field":"name""#),
        chain(
            inferred("smt_times"),
            &[
                (
                    "TimestampConverter$Value",
                    "field=when; target.type=string; format=yyyy/MM/dd k:mm:ss.SSSX",
                ),
                ("InsertField$Value", "static.field=day; static.value=2024-02-30 and more"),
                ("TimestampConverter$Value", "field=day; target.type=Date; format=yyyy-MM-dd"),
                ("InsertField$Value", "static.field=time; static.value=20240229235959007"),
                (
                    "TimestampConverter$Value",
                    "field=time; target.type=Time; format=yyyyMMddHHmmssSSS",
                ),
            ],
        )
        .shows("2024/02/29 23:59:59.007Z"),
        chain(
            inferred("smt_units"),
            &[
                (
                    "TimestampConverter$Value",
                    "field=when; target.type=unix; unix.precision=microseconds",
                ),
                ("HoistField$Key", "field=k"),
                ("TimestampConverter$Key", "field=gone; target.type=Timestamp"),
            ],
        )
        .shows("1709251199007000"),
        chain(
            Case::new("smt_events", TYPES)
                .set("output.format.key", "schema")
                .set("output.format.value", "schema"),
            &[
                ("HeaderFrom$Value", "fields=ns,operationType; headers=ns,op; operation=copy"),
                ("Flatten$Value", "delimiter=/"),
                ("MaskField$Value", "fields=clusterTime,txnNumber,lsid/id,lsid/uid; replacement=7"),
                ("ReplaceField$Key", "include=_id"),
            ],
        )
        .shows(r#""field":"ns/db""#),
    ]
}

/// What the documents have, nothing of it null: the consumer of this rig reads no header that is.
const ORDER: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "_id", "type": ["null", "string"]}, {"name": "name", "type": ["null", "string"]},
    {"name": "list", "type": {"type": "array", "items": ["null", "string"]}, "default": []},
    {"name": "when", "type": "long", "default": 7}, {"name": "ratio", "type": "float", "default": 0.5},
    {"name": "is", "type": "boolean", "default": true},
    {"name": "map", "type": {"type": "map", "values": ["int", "null"]}, "default": {}},
    {"name": "long", "type": "long", "default": -1},
    {"name": "bytes", "type": "bytes", "default": "\u00ff0"}]}"#;
/// The topics of the lanes differ in their mark, so it is taken off while a field says where a record goes.
const UNMARKED: (&str, &str) = ("RegexRouter", r"regex=(.*)\.$LANE; replacement=$1");
const MARKED: (&str, &str) = ("RegexRouter", "regex=.*; replacement=$0.$LANE");
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// The chain of these classes, each with its settings, separated by semicolons.
fn chain(case: Case, stages: &[(&str, &str)]) -> Case {
    let aliases: Vec<String> = (0..stages.len()).map(|place| format!("t{place}")).collect();
    let mut case = case.set("transforms", &aliases.join(","));
    for (alias, (class, settings)) in aliases.iter().zip(stages) {
        let class = format!("org.apache.kafka.connect.transforms.{class}");
        case = case.set(&format!("transforms.{alias}.type"), &class);
        for setting in settings.split("; ").filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').expect("a setting is a name and a value");
            case = case.set(&format!("transforms.{alias}.{name}"), value);
        }
    }
    case
}

fn predicate(class: &str) -> String {
    format!("org.apache.kafka.connect.transforms.predicates.{class}")
}

/// Records that fail go to a topic that does not count.
fn letters(case: Case) -> Case {
    case.set("errors.tolerance", "all")
        .set("errors.deadletterqueue.topic.name", &format!("smt-letters.{LANE}"))
}

/// Documents whose fields differ, and differ in type.
async fn orders(place: Place) -> Result<()> {
    let events = place.events();
    let bytes = Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 255] };
    let full = doc! {
        "_id": "full", "name": "é \"quoted\" 😀", "count": 300, "ratio": 1e300, "is": true, "long": 1_i64 << 40,
        "when": DateTime::from_millis(1_709_251_199_007), "list": [1, 2], "bytes": bytes,
        "address": { "zip": 12345, "city": { "name": "Köln", "tags": ["a", "b\\\""] } },
        "map": { "a": 1, "é\\": Bson::Null }, "big": "1.50".parse::<bson::Decimal128>()?,
    };
    events.insert_one(full).await?;
    for (id, name) in [("number", "12"), ("true", "TRUE"), ("empty", ""), ("null", "null")] {
        events.insert_one(doc! { "_id": id, "name": name, "count": -1, "ratio": -0.5 }).await?;
    }
    events
        .insert_one(
            doc! { "_id": "midnight", "when": DateTime::from_millis(86_400_000), "is": false },
        )
        .await?;
    events
        .insert_one(doc! { "_id": "early", "when": DateTime::from_millis(1), "name": Bson::Null })
        .await?;
    events
        .insert_one(doc! { "_id": "odd", "ratio": f64::NAN, "count": i32::MIN, "list": [] })
        .await?;
    events.delete_one(doc! { "_id": "odd" }).await?;
    let last = doc! {
        "_id": "the last", "address": {}, "list": [true], "when": DateTime::from_millis(5), "ratio": 0.1,
        "long": 5_i64, "bytes": Binary { subtype: BinarySubtype::Generic, bytes: vec![] },
    };
    events.insert_one(last).await?;
    Ok(())
}
