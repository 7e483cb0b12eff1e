//! Keeps the shape of the tree: arrows between crates, headers, sizes, names, the addresses of `unsafe`.
//!
//! A rule that is not checked is a wish. Each check collects every offence before it fails, so one run shows all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file is one subject; past this it is two.
const LINES_MAX: usize = 600;
/// What a side-by-side review shows.
const COLUMNS_MAX: usize = 120;
/// Files that may use `unsafe`, each with its reason in its header.
const UNSAFE_FILES: &[&str] = &[
    "bench/benches/counting/mod.rs",
    "core/src/allocations.rs",
    "core/src/format/block.rs",
    "testbed/src/parent_death.rs",
];
/// Module names that say nothing.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "types"];

/// Which crates of the workspace a crate may use, by folder. Tests and benches may use `tests` more.
struct Arrows {
    folder: &'static str,
    build: &'static [&'static str],
    tests: &'static [&'static str],
}

const ARROWS: &[Arrows] = &[
    Arrows { folder: "core", build: &[], tests: &[] },
    Arrows { folder: "io", build: &[], tests: &[] },
    Arrows {
        folder: "node",
        build: &["millrace-core", "millrace-io", "millrace-bench"],
        tests: &["millrace-bench", "millrace-loadgen", "millrace-testbed"],
    },
    Arrows { folder: "loadgen", build: &[], tests: &[] },
    Arrows { folder: "testbed", build: &[], tests: &[] },
    Arrows { folder: "results", build: &[], tests: &[] },
    Arrows {
        folder: "bench",
        build: &["millrace-loadgen", "millrace-testbed", "millrace-results"],
        tests: &["millrace-core"],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("node lies in the workspace").to_owned()
}

/// Every Rust file of the workspace by its path from the root.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for arrows in ARROWS {
        collect(&root().join(arrows.folder), &mut found);
    }
    assert!(found.len() > 20, "the walk lost its way: {} files", found.len());
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            // The fuzz targets have a build folder of their own.
            if !path.ends_with("target") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            found.insert(name, fs::read_to_string(&path).expect("UTF-8 source"));
        }
    }
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn crates_use_only_the_crates_that_the_arrows_allow() {
    let mut offences = Vec::new();
    for arrows in ARROWS {
        let manifest = manifest(arrows.folder);
        for (section, allowed) in [
            ("dependencies", arrows.build.to_vec()),
            ("build-dependencies", Vec::new()),
            ("dev-dependencies", [arrows.build, arrows.tests].concat()),
        ] {
            let used = manifest.get(section).and_then(toml::Value::as_table);
            for name in used.into_iter().flat_map(|table| table.keys()) {
                if name.starts_with("millrace") && !allowed.contains(&name.as_str()) {
                    offences.push(format!("{}: {section} may not name {name}", arrows.folder));
                }
            }
        }
    }
    assert_none(&offences);
}

#[test]
fn every_member_of_the_workspace_has_its_arrows() {
    let manifest = manifest(".");
    let members = manifest["workspace"]["members"].as_array().expect("members");
    let mut members: Vec<_> = members.iter().filter_map(toml::Value::as_str).collect();
    let mut known: Vec<_> = ARROWS.iter().map(|arrows| arrows.folder).collect();
    members.sort_unstable();
    known.sort_unstable();
    assert_eq!(members, known);
}

#[test]
fn the_bare_node_needs_nothing_of_the_rig() {
    let manifest = manifest("node");
    let bench = &manifest["dependencies"]["millrace-bench"];
    assert_eq!(bench.get("optional").and_then(toml::Value::as_bool), Some(true));
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let mut offences = Vec::new();
    for arrows in ARROWS {
        let path = root().join(arrows.folder).join("Cargo.toml");
        let text = fs::read_to_string(path).expect("a manifest");
        let mut in_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies
                && line.contains('=')
                && !line.contains('#')
                && !line.starts_with("millrace")
                && !dependency_is_explained_above(&text, line)
            {
                offences.push(format!("{}: {line}", arrows.folder));
            }
        }
    }
    assert_none(&offences);
}

/// A development dependency that the build uses as well is explained there.
fn dependency_is_explained_above(manifest: &str, line: &str) -> bool {
    let name = line.split([' ', '=']).next().unwrap_or(line);
    manifest.lines().any(|other| {
        other.contains('#') && other.split([' ', '=']).next().is_some_and(|found| found == name)
    })
}

#[test]
fn every_file_says_what_it_is() {
    let offences: Vec<_> = sources()
        .iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(name, _)| format!("{name}: begins without `//! ` and a sentence"))
        .collect();
    assert_none(&offences);
}

#[test]
fn no_file_is_longer_than_one_subject() {
    let mut offences = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().count();
        if LINES_MAX < lines {
            offences.push(format!("{name}: {lines} lines, at most {LINES_MAX}"));
        }
        for (number, line) in text.lines().enumerate() {
            if COLUMNS_MAX < line.chars().count() && !line.contains('"') {
                offences.push(format!("{name}:{}: wider than {COLUMNS_MAX}", number + 1));
            }
        }
    }
    assert_none(&offences);
}

#[test]
fn unsafe_lives_only_where_it_is_listed() {
    // Spelled apart, or this file would find itself.
    let words =
        [["unsafe", " {"].concat(), ["unsafe", " fn"].concat(), ["unsafe", " impl"].concat()];
    let mut offences = Vec::new();
    for (name, text) in sources() {
        let found = words.iter().any(|word| text.contains(word.as_str()));
        if found && !UNSAFE_FILES.contains(&name.as_str()) {
            offences.push(format!("{name}: unsafe code; its address would have to be listed here"));
        }
    }
    assert_none(&offences);
}

#[test]
fn names_say_what_a_module_is_about() {
    let mut offences = Vec::new();
    for name in sources().keys() {
        for part in Path::new(name).with_extension("").iter() {
            if BANNED_NAMES.contains(&part.to_string_lossy().as_ref()) {
                offences.push(format!("{name}: `{}` says nothing", part.display()));
            }
        }
    }
    assert_none(&offences);
}

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_/.".contains(c)));
    let mut named = 0;
    let mut offences = Vec::new();
    for word in words.filter(|word| word.ends_with(".rs")) {
        let Some((folder, rest)) = word.split_once('/') else { continue };
        named += 1;
        if !root().join(folder).join("src").join(rest).exists() {
            offences.push(format!("ARCHITECTURE.md names {word}"));
        }
    }
    assert!(named > 10, "only {named} files are named");
    assert_none(&offences);
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let words = [
        ["FIX", "ME"].concat(),
        ["TO", "DO"].concat(),
        ["XX", "X:"].concat(),
        ["#[ig", "nore"].concat(),
    ];
    let mut offences = Vec::new();
    for (name, text) in sources() {
        for word in &words {
            if text.contains(word.as_str()) {
                offences.push(format!("{name}: {word}"));
            }
        }
    }
    assert_none(&offences);
}
