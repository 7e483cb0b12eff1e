//! Figures of a worker as Prometheus' text format has them, read by the format's own rules and strictly.
//!
//! A line that the format does not know, a family that is begun twice, a series that comes twice or has no family, a
//! histogram whose buckets shrink: each is an error. Facts: "Exposition formats" of Prometheus' documentation.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use super::rest::Ask;

/// All series of a page: name and labels as they are written, and the value.
#[derive(Debug)]
pub(crate) struct Exposition {
    series: BTreeMap<String, f64>,
    pub(crate) text: String,
}

impl Exposition {
    /// Asks the worker at `address` (`host:port`), as Prometheus does.
    pub(crate) async fn of(address: &str) -> Result<Self> {
        let accept =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        let answer = Ask::get("/metrics").header("Accept", accept).of(address).await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        let format = answer.header("content-type");
        ensure!(format == Some("text/plain; version=0.0.4; charset=utf-8"), "{format:?}");
        Self::parse(answer.body)
    }

    pub(crate) fn parse(text: String) -> Result<Self> {
        ensure!(text.ends_with('\n'), "the last line has no end");
        let (mut series, mut families) = (BTreeMap::new(), BTreeSet::new());
        let mut family = ("", "");
        let mut helped = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped = help.split_once(' ').with_context(|| format!("no help: {line}"))?.0;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                family = kind.split_once(' ').with_context(|| format!("no type: {line}"))?;
                ensure!(helped == family.0, "help of {helped} before {line}");
                ensure!(families.insert(family.0), "begun twice: {line}");
                ensure!(["counter", "gauge", "histogram", "summary"].contains(&family.1), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').with_context(|| format!("{line:?}"))?;
                check_name(name, family).with_context(|| line.to_owned())?;
                let value: f64 = value.parse().with_context(|| line.to_owned())?;
                ensure!(!value.is_nan() && 0.0 <= value, "{line}");
                ensure!(series.insert(name.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        let page = Self { series, text };
        page.check_histograms()?;
        Ok(page)
    }

    /// The value of a series; `None` if there is none.
    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// The value of a series that is there.
    pub(crate) fn value(&self, series: &str) -> Result<f64> {
        self.get(series).with_context(|| format!("no {series} in\n{}", self.text))
    }

    /// Whether a family has any series.
    pub(crate) fn has_family(&self, name: &str) -> bool {
        self.series.keys().any(|series| series.split('{').next() == Some(name))
    }

    fn check_histograms(&self) -> Result<()> {
        for (series, count) in &self.series {
            let Some((name, labels)) = series.split_once("_count{") else { continue };
            let labels = labels.trim_end_matches('}');
            let bucket = |bound: &str| format!("{name}_bucket{{{labels},le=\"{bound}\"}}");
            let Some(all) = self.get(&bucket("+Inf")) else { continue };
            ensure!(all == *count, "{series}: {count}, and {all} in buckets");
            self.value(&format!("{name}_sum{{{labels}}}"))?;
            let begin = format!("{name}_bucket{{{labels},le=\"");
            let mut counts = Vec::new();
            for (series, count) in &self.series {
                let Some(bound) = series.strip_prefix(&begin) else { continue };
                let bound: f64 = bound.trim_end_matches("\"}").replace("+Inf", "inf").parse()?;
                counts.push((bound, *count));
            }
            counts.sort_by(|a, b| a.0.total_cmp(&b.0));
            ensure!(1 < counts.len(), "{series} has no buckets");
            ensure!(counts.is_sorted_by(|a, b| a.1 <= b.1), "{series}: {counts:?}");
        }
        Ok(())
    }
}

/// Checks `name{label="value",…}` against the family (name and type) that it stands under.
fn check_name(series: &str, family: (&str, &str)) -> Result<()> {
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').context("no }")?),
        None => (series, ""),
    };
    let rest = name.strip_prefix(family.0).with_context(|| format!("under {}", family.0))?;
    let allowed: &[&str] = match family.1 {
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["_sum", "_count"],
        _ => &[""],
    };
    ensure!(allowed.contains(&rest), "a series of another family: {family:?}");
    let is_word = |text: &str| {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    ensure!(is_word(name), "{name:?} is no name");
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").context("a label without a value")?;
        ensure!(is_word(label), "{label:?} is no name of a label");
        let mut escaped = false;
        let end = value.bytes().position(|byte| {
            let is_end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_end
        });
        let (_, behind) = value.split_at(end.context("a value without an end")?);
        rest = match &behind[1..] {
            "" => "",
            more => more.strip_prefix(',').context("no comma")?,
        };
    }
    Ok(())
}
