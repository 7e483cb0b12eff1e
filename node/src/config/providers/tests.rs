//! Laws of providers.

use std::fs;

use super::super::error::{ConfigError, Subject};
use super::super::report::Notice;
use super::*;

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn providers(entries: &[(&str, &str)]) -> Result<(Providers, Vec<Notice>), ConfigError> {
    let mut report = Report::new(false, Vec::new());
    let providers = Providers::new(&map(entries), &mut report);
    report.finish("w".as_ref(), Subject::Worker, providers)
}

/// `file` and `dir`, which may look everywhere.
fn of_files() -> Providers {
    let entries = [
        ("config.providers", "file, dir"),
        ("config.providers.file.class", "FileConfigProvider"),
        (
            "config.providers.dir.class",
            "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
        ),
    ];
    let (providers, notices) = providers(&entries).unwrap();
    assert_eq!(notices, []);
    providers
}

#[test]
fn every_placeholder_of_every_value_is_filled_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    fs::write(folder.path().join("a.properties"), "user=app\npassword=$1${file:x:y}\nuri=h")
        .unwrap();
    let of_file = |key: &str| format!("${{file:{path}/a.properties:{key}}}");
    let uri = format!("mongodb://{}:{}@{}", of_file("user"), of_file("password"), of_file("uri"));
    let of_folder = format!("${{dir:{path}:a.properties}}");
    let entries =
        [("connection.uri", uri.as_str()), ("database", of_folder.as_str()), ("collection", "c")];
    let given = map(&entries);
    let resolved = of_files().resolve(&given).unwrap();
    let value = |name: &str| resolved.properties.get(name).map(String::as_str);
    assert_eq!(
        value("connection.uri"),
        Some("mongodb://app:$1${file:x:y}@h"),
        "not looked through again"
    );
    assert!(value("database").unwrap().ends_with("uri=h"));
    assert_eq!(value("collection"), Some("c"));
    assert_eq!(
        resolved.concealed.given("connection.uri"),
        given.get("connection.uri").map(String::as_str)
    );
    assert!(resolved.concealed.given("collection").is_none());
    assert_eq!(resolved.warnings, [""; 0]);
}

#[test]
fn what_cannot_be_filled_stays_as_it_is_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.properties");
    fs::write(&path, "user=app").unwrap();
    let missing = format!("${{file:{}:none}} x", path.display());
    let entries = [
        ("a", missing.as_str()),
        ("b", "${vault:secret:key}"),
        ("c", "${file:user}"),
        ("d", "${x"),
    ];
    let resolved = of_files().resolve(&map(&entries)).unwrap();
    assert_eq!(resolved.properties, map(&entries));
    assert!(resolved.concealed.is_empty());
    assert_eq!(
        resolved.warnings,
        [
            "a: a placeholder stays as it is, provider 'file' has no such key",
            "b: a placeholder stays as it is, the worker has no such provider",
            "c: a placeholder stays as it is, provider 'file' has no such key",
        ]
    );
    assert!(of_files().may_fill("x${file:a:b}") && !of_files().may_fill("${vault:a:b}"));
}

#[test]
fn what_cannot_be_read_is_a_problem_of_the_property_that_needs_it() {
    let entries = [("a", "${file:/there/is/none:k}"), ("b", "x")];
    let problems = of_files().resolve(&map(&entries)).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let [text] = texts.as_slice() else { panic!("{texts:?}") };
    assert!(
        text.starts_with(
            "Invalid value ${file:/there/is/none:k} for configuration a: Could not read properties from \
             file /there/is/none: No such file"
        ),
        "{text}"
    );
}

#[test]
fn a_provider_is_refused_by_what_is_wrong_with_it() {
    let refused = |entries: &[(&str, &str)]| providers(entries).unwrap_err().to_string();
    let named = ("config.providers", "p");
    let missing =
        "Missing required configuration \"config.providers.p.class\" which has no default value.";
    assert!(refused(&[named]).ends_with(missing));
    let class = |class| ("config.providers.p.class", class);
    let vault = refused(&[named, class("com.example.Vault")]);
    assert!(
        vault.contains(
            "Invalid value com.example.Vault for configuration config.providers.p.class: Could not load \
             config provider class"
        ),
        "{vault}"
    );
    let paths = ("config.providers.p.param.allowed.paths", "relative");
    assert!(refused(&[named, class("FileConfigProvider"), paths]).ends_with(
        "Invalid value relative for configuration config.providers.p.param.allowed.paths: Path relative is not absolute"
    ));
    let pattern = ("config.providers.p.param.allowlist.pattern", "(");
    assert!(refused(&[named, class("EnvVarConfigProvider"), pattern]).contains("Invalid regex: "));
}

#[test]
fn a_property_of_no_provider_is_unknown() {
    let entries = [
        ("config.providers", "p"),
        ("config.providers.p.class", "FileConfigProvider"),
        ("config.providers.p.param.allowed.paths", ""),
        ("config.providers.p.parm.allowed.paths", "/x"),
        ("config.providers.q.class", "x"),
    ];
    let (_, notices) = providers(&entries).unwrap();
    let texts: Vec<_> = notices.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "The configuration 'config.providers.p.parm.allowed.paths' was supplied but isn't a known config.",
            "The configuration 'config.providers.q.class' was supplied but isn't a known config.",
        ]
    );
}

#[test]
fn the_environment_is_that_of_the_worker() {
    let entries =
        [("config.providers", "env"), ("config.providers.env.class", "EnvVarConfigProvider")];
    let (providers, _) = providers(&entries).unwrap();
    let path = std::env::var("PATH").unwrap();
    let resolved = providers.resolve(&map(&[("a", "${env:PATH}")])).unwrap();
    assert_eq!(resolved.properties["a"], path);
    assert_eq!(resolved.concealed.without_secrets(&path), "${env:PATH}");
}
