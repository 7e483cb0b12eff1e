//! Properties of a source connector that Java does not know, and that are off unless they are given.
//!
//! A worker of Java's passes them over with a warning, so a file with them still runs there.

use millrace_core::format::JavaVersion;
use millrace_core::mongo::watch::WatchSpec;

use super::copy_existing::CopyExisting;
use super::definition::Width;
use super::error::{Reason, Shown};
use super::property::{Property, Values};
use super::report::Report;
use super::source::{LostPosition, Startup};

const MILLRACE: &str = "Millrace";

/// Joins events that the server has split, since they are larger than 16 MB.
const SPLIT_LARGE_EVENTS: &str = "split.large.events";

/// What follows when the server no longer knows the stored position.
const LOST_POSITION: &str = "resume.policy.lost.position";

/// The Java whose text is written.
const JAVA_VERSION: &str = "java.version.compatible";

/// One line each: type, name, default, check.
pub(super) const OWN_PROPERTIES: &[Property] = &[
    Property::boolean(SPLIT_LARGE_EVENTS, "false")
        .medium("Whether events above 16 MB are split by the server and joined again here.")
        .at(MILLRACE, 1, Width::Short, "Split large events"),
    Property::text(LOST_POSITION, "fail")
        .one_of(&["fail", "oldest", "now", "copy"])
        .medium(
            "What follows if the server no longer knows the stored position: fail, or go on \
             with the oldest event, with new ones, or with a copy.",
        )
        .at(MILLRACE, 2, Width::Short, "Lost position"),
    Property::text(JAVA_VERSION, "17")
        .one_of(&["17", "25"])
        .medium("The Java whose text is written where versions differ, 17 or 25.")
        .at(MILLRACE, 3, Width::Short, "Java version"),
];

/// `java.version.compatible`: what no JVM has judged is refused, other versions and schema output by 25.
pub(super) fn java_version(values: &Values, report: &mut Report) -> JavaVersion {
    if values.text(JAVA_VERSION) != "25" {
        return JavaVersion::V17;
    }
    for property in ["output.format.key", "output.format.value"] {
        if values.text(property).eq_ignore_ascii_case("schema") {
            let conflict =
                format!("{property}=schema writes numbers as Java 17 does; leave the version out");
            let reason = Reason::Conflict(conflict);
            report.refuse(JAVA_VERSION, Shown::Text("25".to_owned()), reason);
        }
    }
    JavaVersion::V25
}

/// `resume.policy.lost.position`; the copy is that of `startup` if there is one.
pub(super) fn lost_position(values: &Values, startup: Option<&Startup>) -> LostPosition {
    match values.text(LOST_POSITION) {
        "oldest" => LostPosition::Oldest,
        "now" => LostPosition::Now,
        "copy" => LostPosition::Copy(match startup {
            Some(Startup::CopyExisting(copy)) => copy.clone(),
            Some(Startup::Latest | Startup::Timestamp(_)) | None => CopyExisting::everything(),
        }),
        _ => LostPosition::Fail,
    }
}

/// Whether events above 16 MB are split and joined. The stage may stand in a pipeline only once.
pub(super) fn split_large_events(
    values: &Values,
    pipeline: Option<&[Vec<u8>]>,
    report: &mut Report,
) -> bool {
    let is_wanted = values.boolean(SPLIT_LARGE_EVENTS);
    if is_wanted && pipeline.is_some_and(WatchSpec::ends_with_split) {
        let conflict = "the pipeline ends with $changeStreamSplitLargeEvent, so its fragments are \
                        published one by one; take it out there to have them joined";
        let reason = Reason::Conflict(conflict.to_owned());
        report.refuse(SPLIT_LARGE_EVENTS, Shown::Text("true".to_owned()), reason);
    }
    is_wanted
}

#[cfg(test)]
mod tests {
    use super::super::connect_properties::CONNECT_PROPERTIES;
    use super::super::source::SourceConfig;
    use super::super::source_check::tests::{error, source};
    use super::super::source_properties::SOURCE_PROPERTIES;
    use super::*;

    #[test]
    fn no_property_is_javas_too_and_every_default_passes() {
        for property in OWN_PROPERTIES {
            let mut java = SOURCE_PROPERTIES.iter().chain(CONNECT_PROPERTIES);
            assert!(!java.any(|java| java.name == property.name), "{}", property.name);
            let default = property.default.expect("a default");
            assert!(property.parse(default).is_ok(), "{}", property.name);
        }
    }

    fn source_of(lines: &str) -> SourceConfig {
        source(lines, true).unwrap().0
    }

    #[test]
    fn large_events_are_joined_or_passed_on_in_fragments_and_not_both() {
        assert!(!source_of("").split_large_events);
        assert!(source_of("split.large.events=TRUE\npipeline=[{$match: {}}]").split_large_events);
        let split = "pipeline=[{$changeStreamSplitLargeEvent: {}}]";
        assert!(!source_of(split).split_large_events);
        let error = error(&format!("split.large.events=true\n{split}"));
        assert!(
            error.contains("for configuration split.large.events: the pipeline ends"),
            "{error}"
        );
    }

    #[test]
    fn text_is_that_of_jdk_17_unless_25_is_named() {
        assert_eq!(source_of("").java, JavaVersion::V17);
        assert_eq!(source_of("java.version.compatible=17").java, JavaVersion::V17);
        assert_eq!(source_of("java.version.compatible=25").java, JavaVersion::V25);
        let error = error("java.version.compatible=21");
        assert!(error.contains("[17, 25]"), "{error}");
        let error = super::super::source_check::tests::error(
            "java.version.compatible=25\noutput.format.value=schema",
        );
        assert!(error.contains("output.format.value=schema writes numbers as Java 17"), "{error}");
    }

    #[test]
    fn a_lost_position_fails_unless_another_policy_is_named() {
        let policy = |lines: &str| source_of(lines).lost_position;
        assert_eq!(policy(""), LostPosition::Fail);
        assert_eq!(policy("errors.tolerance=all"), LostPosition::Fail, "no tolerance skips events");
        assert_eq!(policy("resume.policy.lost.position=oldest"), LostPosition::Oldest);
        assert_eq!(policy("resume.policy.lost.position=now"), LostPosition::Now);
        let copy = policy("resume.policy.lost.position=copy");
        assert_eq!(copy, LostPosition::Copy(CopyExisting::everything()));
        let lines = "resume.policy.lost.position=copy\nstartup.mode=copy_existing\n\
                     startup.mode.copy.existing.namespace.regex=a";
        let LostPosition::Copy(copy) = policy(lines) else { panic!("{lines}") };
        assert_eq!(
            copy.namespace_regex.map(|regex| regex.as_str().to_owned()).as_deref(),
            Some("a")
        );
        let error = error("resume.policy.lost.position=skip");
        assert!(error.contains("[fail, oldest, now, copy]"), "{error}");
    }
}
