//! Two builds of the hot path timed in turns: what the new one is to the old one on a machine that is never still.
//!
//! ```text
//!  cargo bench -p millrace-bench --bench pairs --no-run           in the other commit; keep a copy of that binary
//!  cargo bench -p millrace-bench --bench pairs -- --base COPY     in this one: a table
//!                                … -- --base COPY --json          and as `millrace bench gate --pairs` takes it
//!
//!  a turn    new  base  base        the next turn    base  base  new
//!             └ ratio ┘└ A/A ┘                       └ A/A ┘└ ratio ┘
//! ```
//!
//! Each timing is a process of its own, so that no build profits from what the other has left in caches and in its
//! predictors, and where the loader puts the code is drawn anew. The ratio is the median over the turns. Beside it
//! stands what the base is to itself in the same turns, the noise floor: a ratio no farther from 1 says nothing.

mod corpus;
mod part;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use part::Part;

/// What is compared unless `--parts` and `--corpora` say otherwise.
const PARTS: &str = "event,json,path-bson,path-json";
const CORPORA: &str = "small,plain,large,all";
const TURNS: usize = 20;
/// Before the clock runs: memory is recycled from then on.
const WARM_UP: Duration = Duration::from_millis(20);
const TIMED: Duration = Duration::from_millis(80);

struct Options {
    base: PathBuf,
    parts: Vec<String>,
    corpora: Vec<String>,
    turns: usize,
    json: bool,
}

/// Timings of one part over one corpus, ns per event, turn by turn.
#[derive(Default)]
struct Timings {
    new: Vec<f64>,
    base: Vec<f64>,
    base_again: Vec<f64>,
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [mode, corpus, part] = args.as_slice()
        && mode == "--inner"
    {
        let _ = writeln!(io::stdout(), "{}", inner(corpus, part));
        return ExitCode::SUCCESS;
    }
    match parse(&args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Nanoseconds per event.
fn inner(corpus: &str, part: &str) -> f64 {
    let corpus = corpus::named(corpus).expect("a corpus");
    let mut part = Part::named(part).expect("a part");
    let mut passes_within = |time: Duration| {
        let (began, mut passes) = (Instant::now(), 0_u64);
        loop {
            corpus.events.iter().for_each(|event| part.run(event));
            passes += 1;
            let elapsed = began.elapsed();
            if time <= elapsed {
                return elapsed.as_nanos() as f64 / (passes * corpus.events.len() as u64) as f64;
            }
        }
    };
    passes_within(WARM_UP);
    passes_within(TIMED)
}

fn parse(args: &[String]) -> Result<Options, String> {
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut base = None;
    let (mut parts, mut corpora) = (list(PARTS), list(CORPORA));
    let (mut turns, mut json) = (TURNS, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--base" => base = Some(PathBuf::from(value()?)),
            "--parts" => parts = list(value()?),
            "--corpora" => corpora = list(value()?),
            "--turns" => {
                let text = value()?;
                turns = text.parse().map_err(|_| format!("{text:?} is no number of turns"))?;
            }
            "--json" => json = true,
            _ => return Err(format!("{arg:?} is not known; see the head of pairs.rs")),
        }
    }
    let base = base.ok_or("give --base PATH: this bench's binary of another build")?;
    known("part", &parts, &Part::NAMES)?;
    known("corpus", &corpora, &corpus::NAMES)?;
    Ok(Options { base, parts, corpora, turns, json })
}

fn known(what: &str, names: &[String], all: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| !all.contains(&name.as_str())) {
        Some(name) => Err(format!("no {what} {name:?}; there are: {}", all.join(", "))),
        None => Ok(()),
    }
}

fn run(options: &Options) -> Result<(), String> {
    let new = env::current_exe().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    let mut table = String::new();
    for corpus in &options.corpora {
        for part in &options.parts {
            let mut timings = Timings::default();
            for turn in 0..options.turns {
                timings.take_turn(turn, |is_new| {
                    let binary = if is_new { &new } else { &options.base };
                    time(binary, corpus, part)
                })?;
            }
            let name = format!("{corpus}/{part}");
            table.push_str(&timings.line(&name));
            let Timings { new, base, .. } = timings;
            rows.push(serde_json::json!({ "name": name, "new_ns": new, "base_ns": base }));
        }
    }
    let written = if options.json {
        let text = serde_json::Value::from(rows).to_string();
        writeln!(io::stderr(), "{table}").and_then(|()| writeln!(io::stdout(), "{text}"))
    } else {
        writeln!(io::stdout(), "{table}")
    };
    written.map_err(|error| error.to_string())
}

impl Timings {
    /// In every other turn the other way round, so that who comes first makes no difference.
    fn take_turn(
        &mut self,
        turn: usize,
        mut time: impl FnMut(bool) -> Result<f64, String>,
    ) -> Result<(), String> {
        let order =
            if turn.is_multiple_of(2) { [true, false, false] } else { [false, false, true] };
        let [first, middle, last] = order.map(&mut time);
        let (new, base, base_again) =
            if turn.is_multiple_of(2) { (first, middle, last) } else { (last, middle, first) };
        self.new.push(new?);
        self.base.push(base?);
        self.base_again.push(base_again?);
        Ok(())
    }

    fn line(&self, name: &str) -> String {
        let ratios = |these: &[f64]| -> Vec<f64> {
            these.iter().zip(&self.base).map(|(this, base)| this / base).collect()
        };
        let (ratios, again) = (ratios(&self.new), ratios(&self.base_again));
        let distances = again.iter().map(|ratio| (ratio - 1.0).abs()).collect();
        format!(
            "{name:<20} {:>10.1} ns {:>10.1} ns before   ratio {:.3}   A/A {:.3} (median distance {:.3})\n",
            median(self.new.clone()),
            median(self.base.clone()),
            median(ratios),
            median(again),
            median(distances)
        )
    }
}

/// The middle value; of an even number the mean of both. 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count.is_multiple_of(2) => f64::midpoint(values[count / 2 - 1], values[count / 2]),
        count => values[count / 2],
    }
}

/// One timing, in a process of its own.
fn time(binary: &Path, corpus: &str, part: &str) -> Result<f64, String> {
    let shown = binary.display();
    let output = Command::new(binary)
        .args(["--inner", corpus, part])
        .output()
        .map_err(|error| format!("cannot start {shown}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let ns = text.trim().parse().ok().filter(|_| output.status.success());
    ns.ok_or_else(|| {
        let log = String::from_utf8_lossy(&output.stderr);
        format!(
            "{shown} does not time {part} over {corpus}: is it this bench of another build?\n{log}"
        )
    })
}
