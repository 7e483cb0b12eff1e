//! What dashboards for Java ask a process for, answered with what comes next to it here. The help of each says what.
//!
//! There is no JVM. Buffers that are lent to tasks stand for the heap, all other resident memory for what is beside it,
//! so that their sum is what the process has; a garbage collector is not there and takes no time.

use super::exposition::{Kind, Page};
use super::process::ProcessFigures;

pub(super) fn write(lent_bytes: u64, process: Option<ProcessFigures>, page: &mut Page) {
    let lent = lent_bytes as f64;
    if let Some(ProcessFigures { resident_bytes, threads }) = process {
        let help = "No JVM: heap is the buffers lent to tasks (millrace_memory_lent_bytes), nonheap all other \
                    resident memory.";
        let mut family = page.family("jvm_memory_used_bytes", Kind::Gauge, help);
        family.series(&[("area", "heap")], lent);
        // A buffer that was never written to is lent and not resident.
        family.series(&[("area", "nonheap")], (resident_bytes - lent).max(0.0));
        let help = "No JVM: threads of the process, as process_threads.";
        page.single("jvm_threads_current", Kind::Gauge, help, threads);
    }
    let help = "No JVM: there is no garbage collector, so this is always 0.";
    page.family("jvm_gc_collection_seconds", Kind::Summary, help).summary(
        &[("gc", "none")],
        0.0,
        0.0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_memory_add_up_to_what_is_resident() {
        let process = ProcessFigures { resident_bytes: 100.0, threads: 4.0 };
        let text = |lent| {
            let mut page = Page::default();
            write(lent, Some(process), &mut page);
            page.into_text()
        };
        for line in [
            r#"jvm_memory_used_bytes{area="heap"} 30"#,
            r#"jvm_memory_used_bytes{area="nonheap"} 70"#,
            "jvm_threads_current 4",
            "# TYPE jvm_gc_collection_seconds summary",
            r#"jvm_gc_collection_seconds_sum{gc="none"} 0"#,
        ] {
            assert!(text(30).lines().any(|other| other == line), "{line}\n{}", text(30));
        }
        assert!(text(200).contains(r#"area="nonheap"} 0"#));
    }
}
