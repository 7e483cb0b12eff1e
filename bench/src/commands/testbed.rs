//! `millrace testbed`: real servers by hand.

use anyhow::Result;
use clap::{Args, Subcommand};
use millrace_testbed::detached::{self, DownReport, State};
use millrace_testbed::{
    BuiltImage, KafkaPlan, Limits, MongodbPlan, Plan, Sasl, Servers, Tls, build_images,
};

use super::{Outcome, WrongUsage, print};
use crate::present;
use crate::progress::Progress;

pub(super) const EXAMPLES: &str = "Examples:
  millrace testbed up
  millrace testbed up --members 3 --brokers 3 --json
  millrace testbed up --servers docker --tls server --auth --sasl scram-sha-512
  millrace testbed status
  millrace testbed down
  millrace testbed images";

/// Commands of `millrace testbed`.
#[derive(Debug, Subcommand)]
pub enum Testbed {
    /// Start servers and leave them running
    Up(Up),
    /// End all servers that were left running, and remove their data
    Down {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show the servers that were left running
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Build Docker images from the native files, where no registry is reached
    Images {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// What to start.
#[derive(Debug, Args)]
pub struct Up {
    /// Members of the replica set: 1 or 3
    #[arg(long, default_value_t = 1)]
    members: usize,
    /// Brokers: 1 or 3
    #[arg(long, default_value_t = 1)]
    brokers: usize,
    /// Make clients of MongoDB authenticate
    #[arg(long)]
    auth: bool,
    /// Make clients of Kafka authenticate: plain, scram-sha-256 or scram-sha-512
    #[arg(long, value_name = "MECHANISM", value_parser = sasl)]
    sasl: Option<Sasl>,
    /// Encrypt connections: off, server, or mutual (clients show a certificate too)
    #[arg(long, default_value = "off", value_name = "SIDES", value_parser = tls)]
    tls: Tls,
    /// CPUs that each server may run on, such as 0,1
    #[arg(long, value_delimiter = ',', value_name = "CPUS")]
    cpus: Vec<u16>,
    /// Memory of each server, MiB
    #[arg(long, value_name = "MIB")]
    memory_mb: Option<u32>,
    /// Where servers come from: auto, docker or native
    #[arg(long, default_value_t = Servers::Auto, value_name = "SOURCE")]
    servers: Servers,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: Testbed) -> Result<Outcome> {
    match command {
        Testbed::Up(up) => {
            let plan = plan(&up)?;
            let waiting = Progress::on_terminal().wait("servers");
            let state = detached::up_from(plan, up.servers).await?;
            waiting.finish_and_clear();
            print(up.json, || Ok(serde_json::to_value(&state)?), || up_text(&state))?;
        }
        Testbed::Down { json } => {
            let report = detached::down().await?;
            print(json, || Ok(serde_json::to_value(&report)?), || down_text(&report))?;
        }
        Testbed::Status { json } => {
            let status = detached::status().await?;
            print(json, || Ok(serde_json::to_value(&status)?), || present::servers(&status))?;
        }
        Testbed::Images { json } => {
            let waiting = Progress::on_terminal().wait("images");
            let images = build_images().await?;
            waiting.finish_and_clear();
            print(json, || Ok(serde_json::to_value(&images)?), || images_text(&images))?;
        }
    }
    Ok(Outcome::Done)
}

fn plan(up: &Up) -> Result<Plan, WrongUsage> {
    let one_or_three = |what: &str, number: usize| match number {
        1 | 3 => Ok(number),
        other => Err(WrongUsage(format!("there are 1 or 3 {what} here, not {other}"))),
    };
    if up.servers == Servers::External {
        let text = "servers that run already need no start; leave out --servers external";
        return Err(WrongUsage(text.to_owned()));
    }
    let limits = Limits { cpus: up.cpus.clone(), memory_mb: up.memory_mb };
    let mongodb = MongodbPlan {
        auth: up.auth,
        tls: up.tls,
        limits: limits.clone(),
        ..MongodbPlan::default().members(one_or_three("members", up.members)?)
    };
    let kafka = KafkaPlan {
        brokers: one_or_three("brokers", up.brokers)?,
        tls: up.tls,
        sasl: up.sasl,
        limits,
        ..KafkaPlan::default()
    };
    Ok(Plan::default().mongodb(mongodb).kafka(kafka))
}

fn tls(text: &str) -> Result<Tls, String> {
    match text {
        "off" => Ok(Tls::Off),
        "server" => Ok(Tls::Server),
        "mutual" => Ok(Tls::Mutual),
        _ => Err("give off, server or mutual".to_owned()),
    }
}

fn sasl(text: &str) -> Result<Sasl, String> {
    let all = [Sasl::Plain, Sasl::ScramSha256, Sasl::ScramSha512];
    let found = all.into_iter().find(|sasl| sasl.mechanism().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "give plain, scram-sha-256 or scram-sha-512".to_owned())
}

fn up_text(state: &State) -> String {
    let line = |(name, value): &(String, String)| format!("  {name}={value}\n");
    let client: String = state.kafka_client.iter().map(line).collect();
    let intro = if client.is_empty() { "" } else { "Clients of Kafka need:\n" };
    format!("{}{intro}{client}", present::servers_up(state))
}

fn down_text(report: &DownReport) -> String {
    let containers: String =
        report.containers.iter().map(|role| format!("{role:<10} container removed\n")).collect();
    if containers.is_empty() || !report.processes.is_empty() {
        return containers + &present::servers_down(report);
    }
    containers
}

fn images_text(images: &[BuiltImage]) -> String {
    let built: String = images
        .iter()
        .map(|image| format!("{:<24}{:>5} MiB\n", image.name, image.size_mb))
        .collect();
    let set: String =
        images.iter().map(|image| format!("  export {}={}\n", image.setting, image.name)).collect();
    format!(
        "{built}They are used where mongo:8.0 and apache/kafka:4.1.0 are not there. To use them in \
         any case:\n{set}"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        up: Up,
    }

    fn planned(line: &str) -> Result<Plan, String> {
        let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        plan(&line.up).map_err(|WrongUsage(text)| text)
    }

    #[test]
    fn flags_of_up_become_the_plan() {
        let line = "up --members 3 --brokers 3 --auth --sasl scram-sha-256 --tls mutual";
        let plan = planned(&format!("{line} --cpus 0,1 --memory-mb 2000")).expect("a plan");
        let (mongodb, kafka) = (plan.mongodb.expect("planned"), plan.kafka.expect("planned"));
        assert_eq!((mongodb.member_count(), mongodb.auth, mongodb.tls), (3, true, Tls::Mutual));
        assert_eq!(
            (kafka.brokers, kafka.sasl, kafka.tls),
            (3, Some(Sasl::ScramSha256), Tls::Mutual)
        );
        assert_eq!(kafka.limits, Limits::default().cpus([0, 1]).memory_mb(2_000));
        assert_eq!(mongodb.limits, kafka.limits);
    }

    #[test]
    fn flags_that_no_server_heeds_are_refused() {
        for line in [
            "up --members 2",
            "up --brokers 5",
            "up --tls always",
            "up --sasl kerberos",
            "up --servers external",
        ] {
            assert!(planned(line).is_err(), "{line}");
        }
    }

    #[test]
    fn removed_containers_are_told() {
        let containers = vec!["kafka".to_owned()];
        let report = DownReport { containers, ..DownReport::default() };
        assert_eq!(down_text(&report), "kafka      container removed\n");
        assert!(down_text(&DownReport::default()).contains("no servers"));
    }
}
