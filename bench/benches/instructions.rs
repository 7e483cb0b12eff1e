//! Instructions per event of the hot path's parts, counted by valgrind: the same on every run of the same build.
//!
//! ```text
//!  cargo bench -p millrace-bench --bench instructions
//!  cargo bench -p millrace-bench --bench instructions -- --json
//! ```
//!
//! Each part runs twice as its own process, for few and for many events; the difference leaves out what the first
//! events do once.
//! Time is no part of this: see `hot_path` for that.

mod corpus;
mod part;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use part::Part;

/// Passes over a corpus in the shorter and in the longer run.
const PASSES: [u32; 2] = [2, 6];

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
    let corpus = corpus::all().into_iter().find(|known| known.name == corpus).expect("a corpus");
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

fn table(json: bool) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let mut rows = Vec::new();
    for corpus in corpus::all() {
        for part in Part::NAMES {
            let [few, many] = PASSES.map(|passes| count(corpus.name, part, passes));
            let events = u64::from(PASSES[1] - PASSES[0]) * corpus.events.len() as u64;
            let per_event = many?.saturating_sub(few?) / events;
            let per_kb = per_event * 1_024 / corpus.event_bytes() as u64;
            if json {
                rows.push(serde_json::json!({
                    "corpus": corpus.name, "part": part, "event_bytes": corpus.event_bytes(),
                    "instructions_per_event": per_event,
                }));
            } else {
                writeln!(
                    out,
                    "{:<8} {part:<8} {:>9} B {per_event:>10} instructions per event {per_kb:>8} per KB",
                    corpus.name,
                    corpus.event_bytes()
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
