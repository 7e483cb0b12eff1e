//! Laws of the command line of `millrace load`.

use clap::Parser;
use millrace_loadgen::arrivals::Rate;
use millrace_loadgen::document::{DocumentShape, Documents};
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Transactions};

use super::*;

#[derive(Debug, Parser)]
struct LoadCommand {
    #[command(flatten)]
    options: Options,
}

fn load(line: &str) -> Result<Load> {
    let words = std::iter::once("load").chain(line.split_whitespace());
    LoadCommand::try_parse_from(words)?.options.load()
}

#[test]
fn flags_alone_say_everything_of_a_load() {
    let load = load(
        "--collections 2000 --collection c --operations 70 --rate 500 --poisson --mix updates --transactions 5 \
         --transaction-share 0.5 --keys zipf:0.99 --document wide --document-bytes 2000 --writers 3 --connections 8 \
         --write-concern 2 --journal --seed 7",
    )
    .unwrap();
    let workload = load.workload;
    assert_eq!(workload.collections, Collections::Numbered { prefix: "c".into(), count: 2_000 });
    assert_eq!((workload.operations, workload.writers, workload.seed), (70, 3, 7));
    let transactions = Transactions { operations: 5, permille: 500 };
    assert_eq!(workload.mix, Mix { transactions, ..Mix::UPDATES });
    assert_eq!(workload.key_spread, KeySpread::Zipf { theta_permille: 990 });
    let wide = DocumentShape::named("wide").unwrap();
    assert_eq!(workload.document, DocumentShape { bytes: 2_000, ..wide }.into());
    assert_eq!((load.write_concern.to_string().as_str(), load.connections.get()), ("2 j:true", 8));
}

#[test]
fn every_profile_can_be_given() {
    for (line, peak_per_s) in [
        ("--rate 0.5", 0.5),
        ("--profile constant:per_s=20", 20.0),
        ("--profile ramp:from_per_s=100,to_per_s=5000,over_s=60", 5_000.0),
        ("--profile steps:100x10,500x1.5", 500.0),
        ("--profile burst:base_per_s=10,peak_per_s=900,every_s=10,lasts_s=1", 900.0),
        ("--profile sine:mean_per_s=100,amplitude_per_s=50,period_s=60", 150.0),
    ] {
        let profile = load(line).unwrap().profile.expect("a profile");
        assert_eq!(profile.peak(), Rate::per_s(peak_per_s).unwrap(), "{line}");
    }
    assert!(load("").unwrap().profile.is_none());
}

#[test]
fn flags_stand_above_a_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("order.json", r#"{ "a": { "$oid": {} } }"#);
    write("trace.txt", "counts_per_s\n5\n7");
    let profile = "[profile]\nkind = \"trace\"\nfile = \"trace.txt\"";
    write(
        "load.toml",
        &format!("seed = 5\nwriters = 9\n[document]\ntemplate = \"order.json\"\n{profile}"),
    );
    let file = folder.path().join("load.toml");
    let from_file = load(&format!("--settings {} --seed 6", file.display())).unwrap();
    assert_eq!((from_file.workload.seed, from_file.workload.writers), (6, 9));
    assert_eq!(from_file.workload.operations, 12);
    assert!(matches!(from_file.workload.document, Documents::Template(_)));

    let named = load(&format!("--settings {} --document small --rate 5", file.display())).unwrap();
    assert_eq!(named.workload.document, DocumentShape::named("small").unwrap().into());
    assert_eq!(named.workload.operations, 100_000, "the trace is gone with its length");
}

#[test]
fn wrong_usage_is_found_before_anything_is_written() {
    for (line, expected) in [
        ("--rate 0", "it makes no events"),
        ("--rate -5", "unexpected argument"),
        ("--rate 1 --profile steps:1x1", "cannot be used with"),
        ("--profile wave:x=1", "unknown variant `wave`"),
        ("--profile ramp:from_per_s=1", "missing field"),
        ("--profile ramp:from_per_s", "is no setting: write key=number"),
        ("--profile steps:5", "is no step: write RATExSECONDS"),
        ("--profile trace:nothing.txt", "cannot read"),
        ("--keys zip:1", "give uniform, skewed"),
        ("--keys hot:2:0.5", "keys = 2 is not possible"),
        ("--document round", "no shape of documents is called \"round\""),
        ("--document round.json", "cannot read"),
        ("--document-bytes 20000000", "too large"),
        ("--transactions 0", "transactions need operations"),
        ("--transaction-share 0.5", "--transactions"),
        ("--write-concern some", "give majority"),
        ("--connections 0", "above zero"),
        ("--settings /nowhere/load.toml", "cannot read settings /nowhere/load.toml"),
    ] {
        let error = load(line).expect_err(line);
        assert!(format!("{error:#}").contains(expected), "{line}: {error:#}");
        assert!(error.is::<WrongUsage>() || error.is::<clap::Error>(), "{line}");
    }
}

#[tokio::test]
async fn a_rate_above_the_ceiling_is_refused_before_the_start() {
    let load = load("--rate 9000000 --document large").unwrap();
    let refused = ceiling(&load, load.profile.as_ref().unwrap()).await.unwrap_err();
    assert!(refused.is::<WrongUsage>());
    assert!(refused.to_string().contains("asks for 9000000 operations/s at its peak"), "{refused}");
}

#[tokio::test]
async fn a_load_to_nowhere_tells_lateness_and_ceiling() {
    let load = load("--rate 2000 --operations 400 --document small").unwrap();
    let loaded =
        pace_into_nothing(&load, load.profile.as_ref().unwrap(), &Stop::new()).await.unwrap();
    let report = Report::new(&load, loaded, false);
    let json = report.json();
    assert_eq!((&json["operations"], &json["stopped"]), (&400.into(), &false.into()));
    assert!(json["own_lateness_ms"]["p99"].as_f64().is_some_and(|ms| 0.0 < ms), "{json}");
    assert!(json["ceiling"]["built_per_s"].as_f64().is_some_and(|rate| 2_000.0 < rate), "{json}");
    assert!(report.text().contains("400 operations to nowhere"), "{}", report.text());
}
