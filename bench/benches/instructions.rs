//! Instructions and allocations per event of the hot path's parts: the same on every run of the same build.
//!
//! ```text
//!  cargo bench -p millrace-bench --bench instructions
//!  cargo bench -p millrace-bench --bench instructions -- --json
//! ```
//!
//! Instructions are counted by valgrind. Each part runs twice as its own process, for few and for many events; the
//! difference leaves out what the first events do once.
//!
//! Allocations are counted by an allocator, in a part that has run for some passes: 0 where memory is used again. Of a
//! part that fills batches a batch may ask once, so they are given for 1000 events.
//!
//! Copied bytes are not counted: what a compiler makes of a loop is a copy or not as it likes, and no counter of the
//! machine tells. Time is no part of this: see `hot_path` and `pairs` for that.

mod corpus;
mod counting;
mod part;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use corpus::Corpus;
use part::Part;

/// Passes over a corpus in the shorter and in the longer run.
const PASSES: [u32; 2] = [2, 6];
/// Events over which allocations are counted, at least: some batches of small events.
const EVENTS_COUNTED: usize = 20_000;
/// And bytes at most, so that large events do not take for ever; some batches of any event.
const BYTES_COUNTED: usize = 64 << 20;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [mode, corpus, part, passes] = args.as_slice()
        && mode == "--inner"
    {
        inner(corpus, part, passes.parse().expect("a number of passes"));
        return ExitCode::SUCCESS;
    }
    match table(args.iter().any(|arg| arg == "--json")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What valgrind watches.
fn inner(corpus: &str, part: &str, passes: u32) {
    let corpus = corpus::named(corpus).expect("a corpus");
    let mut part = Part::named(part).expect("a part");
    for _ in 0..passes {
        pass(&mut part, &corpus.events);
    }
}

/// All that is counted: what a process does before and after differs by some thousand instructions from run to run.
#[inline(never)]
fn pass(part: &mut Part, events: &[Vec<u8>]) {
    for event in events {
        part.run(event);
    }
}

/// Mean size of an event.
fn event_bytes(corpus: &Corpus) -> usize {
    corpus.events.iter().map(Vec::len).sum::<usize>() / corpus.events.len().max(1)
}

/// Allocations for 1000 events once memory is recycled.
fn allocations(corpus: &Corpus, part: &str) -> u64 {
    let mut part = Part::named(part).expect("a part");
    let of_bytes = BYTES_COUNTED / event_bytes(corpus).max(1);
    let passes = EVENTS_COUNTED.min(of_bytes).div_ceil(corpus.events.len());
    let mut run = || (0..passes).for_each(|_| pass(&mut part, &corpus.events));
    run();
    let before = counting::allocations();
    run();
    let asked = counting::allocations() - before;
    asked * 1_000 / (passes * corpus.events.len()) as u64
}

fn table(json: bool) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let mut rows = Vec::new();
    for name in corpus::NAMES {
        let corpus = corpus::named(name).expect("a corpus");
        for part in Part::NAMES {
            let [few, many] = PASSES.map(|passes| count(name, part, passes));
            let events = u64::from(PASSES[1] - PASSES[0]) * corpus.events.len() as u64;
            let per_event = many?.saturating_sub(few?) / events;
            let allocations = allocations(&corpus, part);
            let per_kb = per_event * 1_024 / event_bytes(&corpus) as u64;
            if json {
                rows.push(serde_json::json!({
                    "corpus": name, "part": part, "event_bytes": event_bytes(&corpus),
                    "instructions_per_event": per_event,
                    "allocations_per_1000_events": allocations,
                }));
            } else {
                writeln!(
                    out,
                    "{:<8} {part:<10} {:>9} B {per_event:>10} instructions per event {per_kb:>8} per KB \
                     {allocations:>6} allocations per 1000",
                    name,
                    event_bytes(&corpus)
                )
                .map_err(|error| error.to_string())?;
            }
        }
    }
    if json {
        let text = serde_json::to_string(&rows).map_err(|error| error.to_string())?;
        writeln!(out, "{text}").map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Instructions of one inner run.
fn count(corpus: &str, part: &str, passes: u32) -> Result<u64, String> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("callgrind.out");
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg("--toggle-collect=instructions::pass*")
        .arg(this)
        .args(["--inner", corpus, part, &passes.to_string()])
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start valgrind: {error}; install the package valgrind"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    log.lines()
        .find_map(|line| line.split("Collected : ").nth(1)?.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("valgrind gave no count for {part} over {corpus}:\n{log}"))
}
