//! Instructions, copied bytes and allocations per event of the hot path's parts: the same on every run of a build.
//!
//! ```text
//!  cargo bench -p millrace-bench --bench instructions
//!  cargo bench -p millrace-bench --bench instructions -- --json
//! ```
//!
//! Instructions and copied bytes are counted by valgrind. Each part runs twice as its own process, for few and for many
//! events; the difference leaves out what the first events do once.
//!
//! ```text
//! callgrind               instructions                                          of `pass` and what it calls
//! dhat --mode=copy        bytes given to memcpy, memmove, strcpy and their like of the whole process
//! ```
//!
//! A copy that the compiler writes out as moves, as it does where the length is known and small, is no call and not
//! counted; nor is a loop that copies byte by byte, nor what the kernel and `realloc` copy. So the count says how often
//! an event is copied as a whole, not how often any of its bytes is moved.
//!
//! Allocations are counted by an allocator, in a part that has run for some passes: 0 where memory is used again. Of a
//! part that fills batches a batch may ask once, so they are given for 1000 events.
//!
//! Time is no part of this: see `hot_path` and `pairs` for that.

mod corpus;
mod counting;
mod part;

use std::env;
use std::fmt;
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

/// What is counted of a part over a corpus.
struct Row {
    corpus: &'static str,
    part: &'static str,
    event_bytes: usize,
    instructions: u64,
    copied_bytes: u64,
    allocations: u64,
}

impl Row {
    fn count(corpus: &Corpus, name: &'static str, part: &'static str) -> Result<Self, String> {
        Ok(Self {
            corpus: name,
            part,
            event_bytes: event_bytes(corpus),
            instructions: per_event(corpus, |passes| Tool::Callgrind.total(name, part, passes))?,
            copied_bytes: per_event(corpus, |passes| Tool::Dhat.total(name, part, passes))?,
            allocations: allocations(corpus, part),
        })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "corpus": self.corpus, "part": self.part, "event_bytes": self.event_bytes,
            "instructions_per_event": self.instructions,
            "copied_bytes_per_event": self.copied_bytes,
            "allocations_per_1000_events": self.allocations,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { corpus, part, event_bytes, instructions, copied_bytes, allocations } = self;
        let per_kb = instructions * 1_024 / (*event_bytes).max(1) as u64;
        write!(
            f,
            "{corpus:<8} {part:<10} {event_bytes:>9} B {instructions:>10} instructions per event "
        )?;
        write!(
            f,
            "{per_kb:>8} per KB {copied_bytes:>9} B copied {allocations:>6} allocations per 1000"
        )
    }
}

fn table(json: bool) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let mut rows = Vec::new();
    for name in corpus::NAMES {
        let corpus = corpus::named(name).expect("a corpus");
        for part in Part::NAMES {
            let row = Row::count(&corpus, name, part)?;
            if json {
                rows.push(row.json());
            } else {
                writeln!(out, "{row}").map_err(|error| error.to_string())?;
            }
        }
    }
    if json {
        let text = serde_json::to_string(&rows).map_err(|error| error.to_string())?;
        writeln!(out, "{text}").map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The difference of two runs, for each event that one has more than the other.
fn per_event(corpus: &Corpus, total: impl Fn(u32) -> Result<u64, String>) -> Result<u64, String> {
    let [few, many] = PASSES.map(total);
    let events = u64::from(PASSES[1] - PASSES[0]) * corpus.events.len() as u64;
    Ok(many?.saturating_sub(few?) / events)
}

/// Which of valgrind's tools watches an inner run.
#[derive(Clone, Copy)]
enum Tool {
    Callgrind,
    Dhat,
}

impl Tool {
    /// What it counts, of one inner run.
    fn total(self, corpus: &str, part: &str, passes: u32) -> Result<u64, String> {
        let this = env::current_exe().map_err(|error| error.to_string())?;
        let output = Command::new("valgrind")
            .args(self.options())
            .arg(this)
            .args(["--inner", corpus, part, &passes.to_string()])
            .stdout(Stdio::null())
            .output()
            .map_err(|error| {
                format!("cannot start valgrind: {error}; install the package valgrind")
            })?;
        let log = String::from_utf8_lossy(&output.stderr);
        log.lines()
            .find_map(|line| line.split(self.before_total()).nth(1))
            .and_then(|rest| rest.split_whitespace().next()?.replace(',', "").parse().ok())
            .ok_or_else(|| format!("valgrind gave no count for {part} over {corpus}:\n{log}"))
    }

    fn options(self) -> Vec<String> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        match self {
            Self::Callgrind => vec![
                "--tool=callgrind".to_owned(),
                format!("--callgrind-out-file={}", folder.join("callgrind.out").display()),
                "--toggle-collect=instructions::pass*".to_owned(),
            ],
            Self::Dhat => vec![
                "--tool=dhat".to_owned(),
                "--mode=copy".to_owned(),
                format!("--dhat-out-file={}", folder.join("dhat.out").display()),
            ],
        }
    }

    /// What stands before the count in its log.
    fn before_total(self) -> &'static str {
        match self {
            Self::Callgrind => "Collected : ",
            Self::Dhat => "Total: ",
        }
    }
}
