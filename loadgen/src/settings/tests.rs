//! Laws of settings: what is printed is read back, and what is wrong is named.

use super::*;

fn resolve(text: &str) -> Result<Load, SettingsError> {
    LoadSettings::parse(text)?.resolve(Path::new("/nowhere"))
}

const FULL: &str = r#"
operations = 5_000
collections = 3_000
poisson = true
[profile]
kind = "burst"
base_per_s = 100
peak_per_s = 5_000
every_s = 10
lasts_s = 1.5
[mix]
insert = 10
update = 90
deltas = { inc = 1, push = 2 }
transactions = { operations = 5, share = 0.2 }
[keys]
spread = "zipf"
theta = 0.99
[document]
template_json = '{ "a": { "$string": 20 } }'
[write_concern]
w = "majority"
journal = true
"#;

#[test]
fn everything_that_can_be_asked_for_is_there() {
    let load = resolve(FULL).unwrap();
    let Workload { collections, mix, key_spread, document, operations, .. } = &load.workload;
    let prefix = "events".to_owned();
    assert_eq!(collections, &Collections::Numbered { prefix, count: 3_000 });
    assert_eq!(mix.transactions, Transactions { operations: 5, permille: 200 });
    assert_eq!(mix.deltas, Deltas { set: 0, inc: 1, push: 2, ..Deltas::SET });
    assert_eq!(key_spread, &KeySpread::Zipf { theta_permille: 990 });
    assert!(matches!(document, Documents::Template(_)));
    assert_eq!((*operations, load.write_concern.to_string().as_str()), (5_000, "majority j:true"));
    assert_eq!(load.profile.unwrap().peak(), Rate::per_s(5_000.0).unwrap());
}

#[test]
fn printed_settings_are_complete_and_read_back() {
    for text in [FULL, ""] {
        let load = resolve(text).unwrap();
        let again = resolve(&load.settings.to_toml()).unwrap();
        assert_eq!(again.workload, load.workload);
        assert_eq!(again.profile, load.profile);
        assert_eq!(again.settings, load.settings);
    }
}

#[test]
fn settings_as_json_are_read_back_as_well() {
    let load = resolve(FULL).unwrap();
    let json = serde_json::to_string(&load.settings).unwrap();
    assert_eq!(serde_json::from_str::<LoadSettings>(&json).unwrap(), load.settings);
}

#[test]
fn a_template_file_ends_up_in_the_printed_settings() {
    let folder = std::env::temp_dir().join(format!("millrace-settings-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("order.json"), r#"{ "a": { "$oid": {} } }"#).unwrap();
    fs::write(folder.join("trace.txt"), "offsets_us\n0\n5\n9").unwrap();
    let text =
        "[document]\ntemplate = \"order.json\"\n[profile]\nkind = \"trace\"\nfile = \"trace.txt\"";
    let load = LoadSettings::parse(text).unwrap().resolve(&folder).unwrap();
    let longer = LoadSettings { operations: Some(4), ..LoadSettings::parse(text).unwrap() };
    let refused = longer.resolve(&folder).unwrap_err().to_string();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(load.workload.operations, 3, "as many as the trace has");
    assert!(refused.contains("the trace has 3 arrivals, not 4"), "{refused}");
    let document = load.settings.document;
    assert_eq!(
        (document.template, document.template_json.as_deref()),
        (None, Some(r#"{ "a": { "$oid": {} } }"#))
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("operation = 5", "unknown field `operation`"),
        ("operations = 5\nseed = \"x\"", "line 2"),
        ("[profile]\nkind = \"wave\"", "unknown variant `wave`"),
        ("[profile]\nkind = \"constant\"\nper_s = 0", "it makes no events"),
        ("[profile]\nkind = \"constant\"\nper_s = 1\nper_m = 2", "unknown field `per_m`"),
        (
            "[profile]\nkind = \"ramp\"\nfrom_per_s = 1\nto_per_s = 2\nover_s = -1",
            "-1 s is no time",
        ),
        ("[profile]\nkind = \"trace\"\nfile = \"t.txt\"", "cannot read /nowhere/t.txt"),
        (
            "[document]\nshape = \"round\"",
            "no shape of documents is called \"round\": there are small, plain",
        ),
        ("[document]\nshape = \"plain\"\ntemplate_json = \"{}\"", "a shape or one template"),
        (
            "[document]\ntemplate_json = '{ \"a\": }'",
            "the template of documents is wrong: expected value",
        ),
        ("[document]\nbytes = 17_000_000", "too large: the server takes 16777216"),
        (
            "[keys]\nspread = \"zipf\"\ntheta = 6",
            "theta = 6 is not possible: give a number from 0 to 5",
        ),
        (
            "[mix]\ninsert = 1\ntransactions = { operations = 5, share = 2.0 }",
            "share = 2 is not possible",
        ),
        ("[mix]\nupdate = 1\ndeltas = {}", "all weights of the deltas are zero"),
        ("[write_concern]\nw = 0", "w: 0 is not possible"),
        ("writers = 0", "without writers writes nothing"),
        ("collections = 0", "needs at least one collection"),
        ("connections = 0", "nonzero"),
    ] {
        let error = resolve(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}
