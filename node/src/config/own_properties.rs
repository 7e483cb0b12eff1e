//! Properties of a source connector that Java does not know, and that are off unless they are given.
//!
//! A worker of Java's passes them over with a warning, so a file with them still runs there.

use millrace_core::mongo::watch::WatchSpec;

use super::error::{Reason, Shown};
use super::property::{Property, Values};
use super::report::Report;

/// Joins events that the server has split, since they are larger than 16 MB.
const SPLIT_LARGE_EVENTS: &str = "split.large.events";

/// One line each: type, name, default, check.
pub(super) const OWN_PROPERTIES: &[Property] = &[Property::boolean(SPLIT_LARGE_EVENTS, "false")];

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
        assert!(error.contains("for configuration split.large.events: the pipeline ends"), "{error}");
    }
}
