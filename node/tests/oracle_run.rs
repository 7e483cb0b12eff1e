//! `millrace bench run oracle` in short: sixty combinations of properties over every kind of change, and a proof that
//! it sees a single byte.
//!
//! ```text
//! mongod ─┬─► Connect ────────────────────────────────────────► broker ─┐
//!         └─► millrace ─► proxy (alters one byte of one record) ► broker ─┴─► the oracle names that record
//! ```
//!
//! A judge that has never seen a difference proves nothing when it sees none.

use std::path::Path;

use anyhow::{Result, ensure};
use millrace_bench::oracle::Oracle;
use millrace_bench::proxy::Proxy;
use millrace_bench::tamper::Fault;
use millrace_testbed::{Servers, Testbed};

/// Of Java's lane, over all combinations.
const EVENTS: u64 = 4_000;

fn oracle() -> Oracle {
    let oracle = Oracle::new(Path::new(env!("CARGO_BIN_EXE_millrace")).to_owned());
    Oracle { events: EVENTS, group: 30, ..oracle }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_combinations_have_javas_records_and_one_altered_byte_is_found() -> Result<()> {
    let testbed = Testbed::up(Oracle::servers(), Servers::Native).await?;
    let bootstrap = testbed.kafka().bootstrap();
    let verdict = oracle().run_on(&testbed, &bootstrap).await?;
    eprintln!("{}", verdict.text());
    ensure!(verdict.is_good(), "{}", verdict.text());
    ensure!(60 <= verdict.combinations_run, "{} combinations", verdict.combinations_run);

    // Names are those of the first run, so servers are new.
    drop(testbed);
    let testbed = Testbed::up(Oracle::servers(), Servers::Native).await?;
    let proxy = Proxy::start(&testbed.kafka().bootstrap(), Fault::Alter)?;
    let few = Oracle { combinations_max: 4, events: 400, ..oracle() };
    let verdict = few.run_on(&testbed, &proxy.bootstrap()).await?;
    ensure!(proxy.has_tampered(), "no record was altered");
    let text = verdict.text();
    ensure!(!verdict.is_good() && verdict.mismatches.len() == 1, "one byte, but:\n{text}");
    ensure!(text.contains("its value at byte"), "{text}");
    Ok(())
}
