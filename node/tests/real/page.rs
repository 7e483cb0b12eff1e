//! The status page as a browser shows it: the figures of `/metrics`, live, and names that stay names.

use std::time::Duration;

use anyhow::{Context, Result};

use super::harness::exposition::Exposition;
use super::harness::rest::{Answer, Ask};
use super::harness::{Connector, Setup, chromium, eventually};
use super::stage;

/// What a name might do to a page that does not take it for a text.
const HOSTILE: &str = r#"<img src=x onerror="document.title='taken'">'&"#;
/// The same between tags, as a browser writes down a text.
const HOSTILE_TEXT: &str = r#"&lt;img src=x onerror="document.title='taken'"&gt;'&amp;"#;
/// Of the page: time for a few questions to the worker.
const PAGE_TIME: Duration = Duration::from_secs(9);

/// The text of the cell `key` in the row of the connector `name`, digits not set apart.
fn cell(document: &str, name: &str, key: &str) -> Result<String> {
    let row = document.split("<tr ").find(|row| row.starts_with(&format!("data-name=\"{name}\"")));
    let row = row.with_context(|| format!("no row of {name} in\n{document}"))?;
    let behind = row.split_once(&format!("data-f=\"{key}\"")).context("no such cell")?.1;
    let text = behind.split(['>', '<']).nth(1).context("no text")?;
    Ok(text.chars().filter(|character| *character != '\u{202f}').collect())
}

/// What a browser gets, before its scripts run.
async fn page(address: &str) -> Result<Answer> {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    Ask::get("/").header("Accept", accept).of(address).await
}

async fn events(address: &str, name: &str) -> Result<f64> {
    let series = format!("millrace_events_total{{connector=\"{name}\",task=\"0\"}}");
    Exposition::of(address).await?.value(&series)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_the_figures_of_metrics_and_they_move() -> Result<()> {
    const RECORDS: i32 = 1_234;
    let stage = stage("page").await?;
    let unreachable = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500";
    let mut node = stage.setup()?.connector(Connector::new(HOSTILE, unreachable)).rest().start()?;
    node.running(&stage.name).await?;
    let address = node.rest_address().await?;
    stage.insert(0..RECORDS).await?;
    eventually("all events are taken in", async || {
        Ok((events(&address, &stage.name).await? == f64::from(RECORDS)).then_some(()))
    })
    .await?;
    let whole = page(&address).await?;
    let policy = whole.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(cell(&whole.body, &stage.name, "events")?, RECORDS.to_string());
    assert_eq!(cell(&whole.body, &stage.name, "state")?, "RUNNING");
    assert!(!whole.body.contains("<img"), "{}", whole.body);

    let Some(browser) = chromium::find()? else { return node.stop().await.map(drop) };
    let load = async {
        for id in RECORDS.. {
            stage.insert([id]).await?;
        }
        anyhow::Ok(())
    };
    let url = format!("http://{address}/");
    let shown = tokio::select! {
        shown = chromium::document(browser, &url, PAGE_TIME) => shown?,
        ended = load => return ended,
    };
    let per_second: f64 = cell(&shown, &stage.name, "events_s")?.parse()?;
    assert!(0.0 < per_second, "{per_second}");
    let in_page: f64 = cell(&shown, &stage.name, "events")?.parse()?;
    let after = events(&address, &stage.name).await?;
    assert!(f64::from(RECORDS) < in_page && in_page <= after, "{in_page} of {after}");
    assert!(cell(&shown, &stage.name, "p99")?.ends_with('s'));
    assert!(shown.contains("data-live=\"yes\""), "{shown}");
    let lines = shown.split("class=\"line k0\" d=\"M").skip(1).filter(|line| line.contains('L'));
    assert!(2 < lines.count(), "charts have lines:\n{shown}");

    assert!(!shown.contains("<img") && shown.contains("<title>Millrace "), "{shown}");
    assert!(shown.contains(&format!("<h3>{HOSTILE_TEXT}, task 0,")), "{shown}");
    assert!(shown.contains("FAILED</span>") && shown.contains("127.0.0.1:1"), "{shown}");
    let still = chromium::document(browser, &url, PAGE_TIME).await?;
    assert_eq!(
        cell(&still, &stage.name, "events")?.parse::<f64>()?,
        events(&address, &stage.name).await?
    );
    node.stop().await.map(drop)
}

#[tokio::test]
async fn a_client_of_connect_gets_json_and_a_page_of_elsewhere_changes_nothing() -> Result<()> {
    let mut node = Setup::new("127.0.0.1:1")?.rest().start()?;
    let address = node.rest_address().await?;
    let of = |accept: &'static str| Ask::get("/").header("Accept", accept);
    for ask in [Ask::get("/"), of("application/json"), of("*/*"), of("application/json, text/html")]
    {
        let answer = ask.of(&address).await?;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.success()?["version"].is_string());
    }
    assert_eq!(of("image/png").of(&address).await?.status, 406);
    let html = page(&address).await?;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(html.body.contains("There are no connectors"));

    let restart = || Ask::new("POST", "/connectors/a/restart");
    let elsewhere = restart().header("Origin", "http://page.example").of(&address).await?;
    assert_eq!(elsewhere.status, 403, "{}", elsewhere.body);
    assert!(elsewhere.body.contains("access.control.allow.origin"), "{}", elsewhere.body);
    let cross = restart().header("Sec-Fetch-Site", "cross-site").of(&address).await?;
    assert_eq!(cross.status, 403);
    for ask in [
        restart(),
        restart().header("Origin", "http://rest"),
        restart().header("Sec-Fetch-Site", "same-origin"),
    ] {
        assert_eq!(ask.of(&address).await?.status, 404, "there is no such connector");
    }
    node.stop().await.map(drop)
}
