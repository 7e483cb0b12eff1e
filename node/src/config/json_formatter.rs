//! Which formatter writes JSON text: `output.json.formatter`.
//!
//! Java loads the class of this name; here the three of the connector are built in. The name counts
//! as written, letter case included.

use millrace_core::format::JsonFormatter;

use super::error::{Reason, Shown};
use super::report::Report;

const PACKAGE: &str = "com.mongodb.kafka.connect.source.json.formatter.";
const OTHERS: &str = "Java formatters cannot be loaded; use DefaultJson, ExtendedJson or \
                      SimplifiedJson of com.mongodb.kafka.connect.source.json.formatter";

/// The formatter that `class` is. One that is refused reads as the default, so that the check of
/// the file goes on.
pub(super) fn parse_formatter(class: &str, report: &mut Report) -> JsonFormatter {
    match class.strip_prefix(PACKAGE) {
        Some("DefaultJson") => return JsonFormatter::Default,
        Some("ExtendedJson") => return JsonFormatter::Extended,
        Some("SimplifiedJson") => return JsonFormatter::Simplified,
        Some(_) | None => {}
    }
    let shown = Shown::Text(class.to_owned());
    report.refuse("output.json.formatter", shown, Reason::NotYet(OTHERS));
    JsonFormatter::Default
}

#[cfg(test)]
mod tests {
    use super::super::error::{ConfigError, Subject};
    use super::*;

    fn parse(class: &str) -> Result<JsonFormatter, ConfigError> {
        let mut report = Report::new(false, Vec::new());
        let formatter = parse_formatter(class, &mut report);
        report.finish("c".as_ref(), Subject::Connector, Some(formatter)).map(|(read, _)| read)
    }

    #[test]
    fn the_three_of_the_connector_are_known_by_their_class() {
        for (class, formatter) in [
            ("DefaultJson", JsonFormatter::Default),
            ("ExtendedJson", JsonFormatter::Extended),
            ("SimplifiedJson", JsonFormatter::Simplified),
        ] {
            assert_eq!(parse(&format!("{PACKAGE}{class}")).unwrap(), formatter);
        }
    }

    #[test]
    fn others_are_refused_with_what_to_use_instead() {
        let lower_case = format!("{PACKAGE}simplifiedjson");
        for class in ["com.x.MyJson", "DefaultJson", "", &lower_case] {
            let error = parse(class).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!(
                    "Invalid value {class} for configuration output.json.formatter: not supported \
                     by this version: Java formatters cannot be loaded; use DefaultJson, \
                     ExtendedJson or SimplifiedJson of \
                     com.mongodb.kafka.connect.source.json.formatter"
                )),
                "{error}"
            );
        }
    }
}
