//! `millrace load`: writes seeded load to a MongoDB, on this machine or another.
//!
//! ```text
//! settings    a TOML file, or none          flags that are given stand above it
//! with a profile      each write at its time, w:majority; the ceiling is measured first, lateness is reported
//! without             as fast as it goes, w:1
//! --null-sink         no server: how late this machine's generator is by itself
//! ```
//!
//! Ctrl-C ends the load and reports what was written: it is the beginning of the load that was asked for, so the
//! printed settings check it. A second Ctrl-C ends the process. A load whose generator was late is reported as
//! invalid; it is written all the same, so the exit code is 0.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use millrace_loadgen::arrivals::Profile;
use millrace_loadgen::ceiling::{Ceiling, MEASURED_FOR};
use millrace_loadgen::pacer::{NullSink, Paced, pace};
use millrace_loadgen::schedule::Schedule;
use millrace_loadgen::settings::{Load, LoadSettings};
use millrace_loadgen::stop::Stop;
use millrace_loadgen::writer::{Backlog, OpenLoop};
use tokio::task::spawn_blocking;

use super::{Outcome, WrongUsage, print, stop_on_ctrl_c};
use crate::progress::Progress;

mod flags;
mod report;

use flags::Flags;
use report::{Loaded, Report};

pub(super) const EXAMPLES: &str = "Examples:
  millrace load --uri mongodb://localhost:27017/?replicaSet=rs0 --operations 100000
  millrace load --uri $URI --rate 1000 --operations 60000 --mix all      one minute, each write at its time
  millrace load --uri $URI --profile ramp:from_per_s=100,to_per_s=5000,over_s=60 --poisson
  millrace load --uri $URI --profile steps:100x10,1000x10,100x10 --keys zipf:0.99 --mix updates
  millrace load --uri $URI --profile trace:friday.txt --document order.json --collections 2000
  millrace load --settings load.toml --json                              settings as printed by an earlier load
  millrace load --null-sink --rate 10000 --operations 50000              how exact this machine keeps time";

/// Time for the connections to open before the first write is due.
const LEAD_IN: Duration = Duration::from_millis(500);

/// Options of `millrace load`.
#[derive(Debug, Args)]
pub struct Options {
    /// Where to write; also from MILLRACE_MONGODB_URI
    #[arg(long)]
    uri: Option<String>,
    /// A TOML file with settings; flags stand above it
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// Write nowhere: measure how late the generator is by itself
    #[arg(long)]
    null_sink: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Result<Outcome> {
    let load = options.load()?;
    let stop = stop_on_ctrl_c("ending the load");
    let loaded = match (options.null_sink, &load.profile) {
        (true, None) => {
            return Err(wrong_usage(
                "--null-sink has nothing to measure: give --rate or --profile",
            ));
        }
        (true, Some(profile)) => pace_into_nothing(&load, profile, &stop).await?,
        (false, Some(profile)) => write_paced(&load, profile, &options.uri()?, &stop).await?,
        (false, None) => write_all(&load, &options.uri()?, &stop).await?,
    };
    let report = Report::new(&load, loaded, stop.is_requested());
    print(options.json, || Ok(report.json()), || report.text())?;
    Ok(Outcome::Done)
}

impl Options {
    /// What is asked for; everything that is wrong with it is found here, before anything is written.
    fn load(&self) -> Result<Load> {
        let (settings, folder) = match &self.settings {
            Some(file) => {
                let name = file.display();
                let text = std::fs::read_to_string(file).map_err(|error| {
                    wrong_usage(format!("cannot read settings {name}: {error}"))
                })?;
                let settings = LoadSettings::parse(&text)
                    .map_err(|error| wrong_usage(format!("settings {name} are wrong: {error}")))?;
                (settings, file.parent().unwrap_or(Path::new("")).to_owned())
            }
            None => (LoadSettings::default(), PathBuf::new()),
        };
        let settings = self.flags.over(settings).map_err(wrong_usage)?;
        settings.resolve(&folder).map_err(wrong_usage)
    }

    fn uri(&self) -> Result<String> {
        let from_environment = || std::env::var("MILLRACE_MONGODB_URI").ok();
        let hint = "no address to write to; give --uri or set MILLRACE_MONGODB_URI";
        self.uri.clone().or_else(from_environment).ok_or_else(|| wrong_usage(hint))
    }
}

fn wrong_usage(fault: impl ToString) -> anyhow::Error {
    WrongUsage(fault.to_string()).into()
}

/// Measures what the generator could do, and refuses what it cannot.
async fn ceiling(load: &Load, profile: &Profile) -> Result<Ceiling> {
    let (workload, profile) = (load.workload.clone(), profile.clone());
    let peak = profile.peak();
    let ceiling = spawn_blocking(move || Ceiling::measure(&workload, &profile, MEASURED_FOR))
        .await
        .context("measuring the ceiling of the generator failed")?
        .map_err(wrong_usage)?;
    ceiling.check(peak).map_err(wrong_usage)?;
    Ok(ceiling)
}

fn schedule(load: &Load, profile: &Profile) -> Result<Schedule> {
    let start = Instant::now() + LEAD_IN;
    Schedule::new(start, profile, load.workload.operations).map_err(wrong_usage)
}

async fn write_paced(load: &Load, profile: &Profile, uri: &str, stop: &Stop) -> Result<Loaded> {
    let ceiling = ceiling(load, profile).await?;
    let bar = Progress::on_terminal().count("loading", load.workload.operations);
    let report = OpenLoop::new(&load.workload, schedule(load, profile)?)
        .connections(load.connections)
        .write_concern(load.write_concern)
        .stop(stop.clone())
        .run(uri, |done| bar.set_position(done))
        .await
        .context("the load was not written")?;
    bar.finish_and_clear();
    Ok(Loaded::Paced { report: Box::new(report), ceiling })
}

async fn write_all(load: &Load, uri: &str, stop: &Stop) -> Result<Loaded> {
    let bar = Progress::on_terminal().count("loading", load.workload.operations);
    let written = Backlog::new(&load.workload)
        .write_concern(load.write_concern)
        .stop(stop.clone())
        .run(uri, |done| bar.set_position(done))
        .await
        .context("the load was not written")?;
    bar.finish_and_clear();
    Ok(Loaded::Backlog(written))
}

async fn pace_into_nothing(load: &Load, profile: &Profile, stop: &Stop) -> Result<Loaded> {
    let ceiling = ceiling(load, profile).await?;
    let schedule = schedule(load, profile)?;
    let (workload, stop, start) = (load.workload.clone(), stop.clone(), schedule.start());
    // A thread of its own, so that its exact timers end with it.
    let (result, paced) = tokio::sync::oneshot::channel::<Paced>();
    let work = move || {
        // Whoever asked may have given up meanwhile.
        drop(result.send(pace(&workload, &schedule, &stop, &mut NullSink::default())));
    };
    let pacer = std::thread::Builder::new().name("pacer".to_owned()).spawn(work);
    pacer.context("cannot start the thread that paces the load")?;
    let paced = paced.await.context("the thread that paces the load panicked")?;
    Ok(Loaded::Nowhere { paced, elapsed: start.elapsed(), ceiling })
}

/// `NonZero` that clap can read with a range of its own words.
fn connections(text: &str) -> Result<NonZero<u32>, String> {
    text.parse().map_err(|_| "give a number of connections above zero".to_owned())
}

#[cfg(test)]
mod tests;
