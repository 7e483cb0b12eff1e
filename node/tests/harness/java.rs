//! Kafka's own command line tools, and small programs in Java: judges that share nothing with the node.
//!
//! A program is one source file that `java` compiles as it runs it, with Kafka's jars on the class path. A JDK of
//! version 17 or newer is needed, as Maven needs one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use millrace_testbed::Kafka;

/// Runs a main class of Kafka with `input` on its standard input. Returns what it printed.
pub(crate) async fn kafka_tool(
    kafka: &Kafka,
    class: &str,
    arguments: &[&str],
    input: String,
) -> Result<String> {
    let libraries = kafka.libraries().context("Kafka's tools come with native servers only")?;
    let mut command = java();
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-cp"]);
    command.arg(libraries.join("*")).arg(class).args(arguments);
    run(command, input).await
}

/// What `kafka-console-consumer` shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// All that is there, and not only what comes.
    pub(crate) from_beginning: bool,
    /// After how many records it ends.
    pub(crate) max_messages: usize,
    /// The key and a tab before each value.
    pub(crate) print_key: bool,
}

/// What `kafka-console-consumer` prints of a topic. It ends with an error when nothing more comes for half a minute.
pub(crate) async fn console_consumer(kafka: &Kafka, topic: &str, shown: Shown) -> Result<String> {
    let (bootstrap, max_messages) = (kafka.bootstrap(), shown.max_messages.to_string());
    let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", topic];
    arguments.extend(["--max-messages", &max_messages, "--timeout-ms", "30000"]);
    if shown.from_beginning {
        arguments.push("--from-beginning");
    }
    if shown.print_key {
        arguments.extend(["--property", "print.key=true"]);
    }
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    kafka_tool(kafka, class, &arguments, String::new()).await
}

/// The settings of a topic as `kafka-configs --describe --all` prints them, `name=value ` each.
pub(crate) async fn topic_settings(kafka: &Kafka, topic: &str) -> Result<String> {
    configs(kafka, topic, &["--describe", "--all"]).await
}

/// Changes a setting of a topic, `name=value`.
pub(crate) async fn set_topic(kafka: &Kafka, topic: &str, setting: &str) -> Result<()> {
    configs(kafka, topic, &["--alter", "--add-config", setting]).await.map(drop)
}

async fn configs(kafka: &Kafka, topic: &str, action: &[&str]) -> Result<String> {
    let bootstrap = kafka.bootstrap();
    let place =
        ["--bootstrap-server", &bootstrap, "--entity-type", "topics", "--entity-name", topic];
    let arguments = [&place[..], action].concat();
    kafka_tool(kafka, "kafka.admin.ConfigCommand", &arguments, String::new()).await
}

/// Runs a program of one source file. Returns what it printed.
pub(crate) async fn program(source: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = java();
    command.args(["-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]).arg(source).args(arguments);
    run(command, String::new()).await
}

fn java() -> Command {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    Command::new(home.filter(|java| java.exists()).unwrap_or_else(|| "java".into()))
}

async fn run(mut command: Command, input: String) -> Result<String> {
    let run = move || -> Result<String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().context("could not run java: install a JDK, 17 or newer")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output()?;
        // A program that reads nothing closes the pipe; its exit code says whether that was right.
        let _ = writer.join();
        let [printed, errors] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "{command:?}: {}\n{printed}\n{errors}", output.status);
        Ok(printed)
    };
    tokio::task::spawn_blocking(run).await?
}
