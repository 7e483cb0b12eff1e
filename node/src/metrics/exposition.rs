//! Writes figures as text for Prometheus, format 0.0.4.
//!
//! ```text
//! # HELP name what it is
//! # TYPE name counter
//! name{label="value"} 12
//! ```
//!
//! A family without series is left out. Names of families and labels are constants, values of labels are anybody's and
//! are escaped. Facts: "Exposition formats" of Prometheus' documentation.

use std::fmt::Write;

use millrace_core::latency::Latency;

/// What an answer in this format says of itself.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of number a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, until its owner begins anew.
    Counter,
    /// Is what it is now.
    Gauge,
    Histogram,
    /// A sum and how many were added up.
    Summary,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// Names and values of labels.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text, family by family.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

/// A family whose series are being written.
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
    kind: Kind,
    help: &'a str,
    is_begun: bool,
}

impl Page {
    /// Begins a family; all its series follow.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &'a str) -> Family<'a> {
        Family { page: self, name, kind, help, is_begun: false }
    }

    /// A family of one series without labels.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help).series(&[], value);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Writing to a string does not fail.
    fn line(&mut self, name: &str, suffix: &str, labels: Labels<'_>, value: f64) {
        let text = &mut self.text;
        text.push_str(name);
        text.push_str(suffix);
        for (index, (label, value)) in labels.iter().enumerate() {
            let _ = write!(text, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            escape(value, true, text);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {}", number(value));
    }
}

impl Family<'_> {
    /// One series.
    pub(super) fn series(&mut self, labels: Labels<'_>, value: f64) {
        self.begin();
        self.page.line(self.name, "", labels, value);
    }

    /// One histogram, in seconds.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, latency: &Latency) {
        self.begin();
        let count = latency.count() as f64;
        let buckets = latency.buckets().map(|(bound, count)| (number(bound), count as f64));
        for (bound, counted) in buckets.chain([("+Inf".to_owned(), count)]) {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.page.line(self.name, "_bucket", &labels, counted);
        }
        self.page.line(self.name, "_sum", labels, latency.sum_s());
        self.page.line(self.name, "_count", labels, count);
    }

    /// One summary without quantiles.
    pub(super) fn summary(&mut self, labels: Labels<'_>, sum: f64, count: f64) {
        self.begin();
        self.page.line(self.name, "_sum", labels, sum);
        self.page.line(self.name, "_count", labels, count);
    }

    fn begin(&mut self) {
        if self.is_begun {
            return;
        }
        self.is_begun = true;
        let text = &mut self.page.text;
        let _ = write!(text, "# HELP {} ", self.name);
        escape(self.help, false, text);
        let _ = writeln!(text, "\n# TYPE {} {}", self.name, self.kind.name());
    }
}

fn escape(value: &str, is_label: bool, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if is_label => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

/// As Go reads it.
fn number(value: f64) -> String {
    if value.is_infinite() {
        (if 0.0 < value { "+Inf" } else { "-Inf" }).to_owned()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_has_its_head_once_and_labels_are_escaped() {
        let mut page = Page::default();
        page.family("absent", Kind::Gauge, "nothing of it is known");
        let mut family = page.family("a_total", Kind::Counter, "slash \\, \"quote\" and\nline");
        family.series(&[("of", "b\\c\"d\ne"), ("task", "0")], 3.0);
        family.series(&[("of", "ü {},=")], 0.25);
        page.single("b", Kind::Gauge, "one", 9_007_199_254_740_992.0);
        let want = concat!(
            "# HELP a_total slash \\\\, \"quote\" and\\nline\n",
            "# TYPE a_total counter\n",
            "a_total{of=\"b\\\\c\\\"d\\ne\",task=\"0\"} 3\n",
            "a_total{of=\"ü {},=\"} 0.25\n",
            "# HELP b one\n",
            "# TYPE b gauge\n",
            "b 9007199254740992\n",
        );
        assert_eq!(page.into_text(), want);
    }

    #[test]
    fn buckets_of_a_histogram_are_added_up() {
        let mut latency = Latency::default();
        for (ms, count) in [(1, 1), (3, 2), (4_000_000, 4)] {
            latency.observe(ms, count);
        }
        let mut page = Page::default();
        page.family("h", Kind::Histogram, "x").histogram(&[("task", "0")], &latency);
        let text = page.into_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1..4],
            [
                "# TYPE h histogram",
                r#"h_bucket{task="0",le="0.001"} 1"#,
                r#"h_bucket{task="0",le="0.002"} 1"#
            ]
        );
        let end = [
            r#"h_bucket{task="0",le="3600"} 3"#,
            r#"h_bucket{task="0",le="+Inf"} 7"#,
            r#"h_sum{task="0"} 16000.007"#,
            r#"h_count{task="0"} 7"#,
        ];
        assert_eq!(lines[lines.len() - 4..], end);
    }

    #[test]
    fn numbers_are_those_that_go_reads() {
        for (value, text) in [
            (0.0, "0"),
            (1e-9, "0.000000001"),
            (1e21, "1000000000000000000000"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
