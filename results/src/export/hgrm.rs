//! HdrHistogram's percentile text, as its Java library writes it with five ticks for each half of the way.
//!
//! ```text
//!        Value     Percentile TotalCount 1/(1-Percentile)
//!
//!        0.100 0.000000000000          1           1.00
//!        0.192 0.100000000000        201           1.11
//!  …
//!  3600809.983 1.000000000000       2001
//! #[Mean    =     1800.562, StdDeviation   =    80452.851]
//! ```
//!
//! Values are milliseconds. Plotters read the first two columns; the lines that begin with `#` are comments.

use super::{ExportFile, per_arm};
use crate::histogram::LatencyHistogram;
use crate::record::RunRecord;

const TICKS_PER_HALF: u32 = 5;

/// One file for each valid arm and offered rate that has latencies; rounds are merged exactly.
pub fn files(run: &RunRecord) -> Vec<ExportFile> {
    per_arm(run, "hgrm", |arm, offered| {
        let mut merged: Option<LatencyHistogram> = None;
        for latency in arm.counting(offered).iter().filter_map(|round| round.latency.as_ref()) {
            merged.get_or_insert_default().merge(latency);
        }
        merged.map(|merged| text(&merged))
    })
}

/// One histogram.
pub fn text(histogram: &LatencyHistogram) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for step in histogram.quantiles(TICKS_PER_HALF) {
        let count = histogram.count_up_to(step.latency_ms);
        text.push_str(&format!("{:12.3} {:2.12} {count:10}", step.latency_ms, step.quantile));
        if step.quantile < 1.0 {
            text.push_str(&format!(" {:14.2}", 1.0 / (1.0 - step.quantile)));
        }
        text.push('\n');
    }
    let (buckets, sub_buckets) = LatencyHistogram::layout();
    text.push_str(&format!(
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n\
         #[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n",
        histogram.mean_ms(),
        histogram.deviation_ms(),
        histogram.max_ms(),
        histogram.count()
    ));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::synthetic::Synthetic;

    /// The values that the text of the Java library was made of.
    fn recorded() -> LatencyHistogram {
        let mut histogram = LatencyHistogram::new();
        let mut x = 12_345_u64;
        for place in 0..2_000 {
            x = (x.wrapping_mul(1_103_515_245) + 12_345) & 0x7fff_ffff;
            let tail = if place % 97 == 0 { 50_000 + x % 100_000 } else { 0 };
            histogram.record(Duration::from_micros(100 + x % 900 + tail));
        }
        histogram.record(Duration::from_secs(3_600));
        histogram
    }

    #[test]
    fn the_text_is_that_of_the_java_library() {
        // By `outputPercentileDistribution(out, 5, 1000.0)` of HdrHistogram 2.2.2.
        let by_java = include_str!("by_java.hgrm");
        for (ours, theirs) in text(&recorded()).lines().zip(by_java.lines()) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(text(&recorded()).lines().count(), by_java.lines().count());
    }

    #[test]
    fn an_empty_histogram_has_its_heads_and_its_sums() {
        assert_eq!(text(&LatencyHistogram::new()).lines().count(), 5);
    }

    #[test]
    fn every_valid_arm_has_a_file_of_the_rounds_that_count() {
        let mut run = Synthetic::new(1).run(1);
        run.arms[0].valid = false;
        run.arms[1].rounds[0].invalid_reason = Some("late".into());
        let files = files(&run);
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["drain-node-json.hgrm", "drain-node-bson.hgrm"]);
        assert!(files[0].text.contains("Total count    =          800]"), "{}", files[0].text);
    }
}
