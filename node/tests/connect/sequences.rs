//! A client's calls to two groups at once, and what the answers were.
//!
//! ```text
//! step ──► Java's group ──► answer ─┐
//!      └─► the other    ──► answer ─┴─► compared, kept
//! ```
//!
//! A request that a rebalance is in the way of is sent again, as all these clients do. What a GET shows may take a
//! moment to get around in a group: it is asked again for a while until both show the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::doc;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::corpus::{Place, Request, Sequence, Setting, Step, Until};
use crate::group::{Group, Kind, Member};
use crate::harness::answers::{Difference, Of, differing};
use crate::harness::rest::{Answer, Ask};
use crate::harness::{EVENTS, POLL_INTERVAL, Stage, eventually_within};

/// How long a rebalance may be in the way.
const MOMENT: Duration = Duration::from_secs(45);
/// How long what is shown may take to get around.
const SPREAD: Duration = Duration::from_secs(5);

/// Two workers of a group; the first has come first and leads.
pub(crate) struct Side {
    group: Group,
    members: [Member; 2],
}

/// A request, and what both sides answered.
pub(crate) struct Exchange {
    pub(crate) ask: Ask,
    pub(crate) difference: Difference,
    answers: [Answer; 2],
    addresses: [[String; 2]; 2],
}

/// All that was asked.
#[derive(Default)]
pub(crate) struct Played {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) differing: Vec<String>,
}

impl Side {
    /// Starts a group whose two workers have these lines in their files.
    pub(crate) async fn start(
        stage: &Stage,
        name: &str,
        kind: Kind,
        files: &[BTreeMap<String, String>; 2],
    ) -> Result<Self> {
        let group = Group::new(stage, name);
        let leader = group.clone().properties(&files[0]).start(kind).await?;
        let follower = group.clone().properties(&files[1]).start(kind).await?;
        Ok(Self { group, members: [leader, follower] })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        for member in self.members {
            member.stop().await?;
        }
        Ok(())
    }

    async fn answer(&self, request: &Request, ask: &Ask) -> Result<Answer> {
        let member = match request.at {
            Place::Leader => &self.members[0],
            Place::Follower => &self.members[1],
        };
        let signed = if request.signed { self.signed(ask).await? } else { ask.clone() };
        let deadline = Instant::now() + MOMENT;
        loop {
            let answer = member.ask(&signed).await?;
            let is_settled = answer.status == request.status || !is_momentary(&answer);
            if is_settled || deadline < Instant::now() {
                return Ok(answer);
            }
            tokio::time::sleep(10 * POLL_INTERVAL).await;
        }
    }

    async fn signed(&self, ask: &Ask) -> Result<Ask> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.group.session_key().await?)?;
        mac.update(ask.body.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let ask = ask.clone().header("X-Connect-Authorization", &signature);
        Ok(ask.header("X-Connect-Request-Signature-Algorithm", "HmacSHA256"))
    }

    /// Waits until every worker shows it.
    async fn until(&self, stage: &Stage, until: &Until, setting: &Setting) -> Result<()> {
        let path = setting.text(&until.path);
        for member in &self.members {
            let mut last = String::new();
            let met = eventually_within(MOMENT, "what is waited for", async || {
                if until.writing {
                    // A task that runs may not have opened its stream yet, so one document would not do.
                    stage.events().insert_one(doc! {}).await?;
                    tokio::time::sleep(20 * POLL_INTERVAL).await;
                }
                let answer = member.ask(&Ask::get(&path)).await?;
                let is_met = until.is_met(answer.status, &answer.body, setting);
                last = answer.body;
                Ok(is_met.then_some(()))
            });
            let result = met.await;
            result.with_context(|| format!("{until:?} at {}: {last}", member.address))?;
        }
        Ok(())
    }

    fn addresses(&self) -> [String; 2] {
        [self.members[0].address.clone(), self.members[1].address.clone()]
    }
}

/// Whether a worker refuses something only for now.
fn is_momentary(answer: &Answer) -> bool {
    let says = |text| answer.body.contains(text);
    [409, 500].contains(&answer.status) && (says("momentarily") || says("rebalance"))
}

impl Exchange {
    pub(crate) fn differing(&self) -> Vec<String> {
        self.differing_from(&self.answers[1])
    }

    /// Where `other` in place of the second answer differs from the first.
    pub(crate) fn differing_from(&self, other: &Answer) -> Vec<String> {
        let [java, node] =
            self.addresses.each_ref().map(|side| side.each_ref().map(String::as_str));
        let java = Of { answer: &self.answers[0], addresses: &java };
        differing(java, Of { answer: other, addresses: &node }, self.difference)
    }

    pub(crate) fn second(&self) -> &Answer {
        &self.answers[1]
    }
}

impl Played {
    /// Plays a sequence to both sides.
    pub(crate) async fn play(
        &mut self,
        stage: &Stage,
        sequence: &Sequence,
        sides: [&Side; 2],
    ) -> Result<()> {
        let setting = setting(stage, sequence);
        for step in &sequence.steps {
            match step {
                Step::Until(until) => {
                    for side in sides {
                        side.until(stage, until, &setting).await?;
                    }
                }
                Step::Ask(request) => {
                    let ask = sequence.ask(request, &setting)?;
                    let asked = self.ask(request, ask, sides).await;
                    asked.with_context(|| format!("{}: {request:?}", sequence.client))?;
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self, request: &Request, ask: Ask, sides: [&Side; 2]) -> Result<()> {
        let deadline = Instant::now() + SPREAD;
        let exchange = loop {
            let exchange = Exchange {
                answers: [
                    sides[0].answer(request, &ask).await?,
                    sides[1].answer(request, &ask).await?,
                ],
                addresses: sides.map(Side::addresses),
                ask: ask.clone(),
                difference: request.difference(),
            };
            let may_change = ask.method == "GET" && Instant::now() < deadline;
            let is_settled = exchange.answers[0].status == request.status;
            if !may_change || is_settled && exchange.differing().is_empty() {
                break exchange;
            }
            tokio::time::sleep(10 * POLL_INTERVAL).await;
        };
        let mut places = exchange.differing();
        let (java, stands) = (&exchange.answers[0], request.status);
        if java.status != stands {
            places.push(format!(
                "  Java answers {}, and {stands} stands in the file: {}",
                java.status, java.body
            ));
        }
        if !places.is_empty() {
            self.differing.push(format!("{ask:?}\n{}", places.join("\n")));
        }
        self.exchanges.push(exchange);
        Ok(())
    }
}

/// Each client has a connector of its own.
fn setting(stage: &Stage, sequence: &Sequence) -> Setting {
    let name = format!("{}-{}", stage.name, sequence.client.replace(' ', "-"));
    let config = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSourceConnector",
        "connection.uri": stage.uri(),
        "database": stage.name,
        "collection": EVENTS,
        "poll.await.time.ms": "100",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "1",
    });
    let words = [("$name", name), ("$topic", stage.topic())];
    Setting { words: words.into(), config: config.as_object().cloned().unwrap_or_default() }
}
