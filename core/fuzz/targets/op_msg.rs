//! A session whose server says anything, cut anywhere: events, errors or a new attempt, never a panic.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use millrace_core::link::{Address, LinkCommand, LinkIds};
use millrace_core::memory::MemoryBudget;
use millrace_core::mongo::session::{ResumePosition, Session, SessionConfig, WatchSpec};
use millrace_core::mongo::watch::Scope;
use millrace_core_fuzz::Wire;

/// More than any real conversation needs; a session that never comes to rest would go on for ever.
const STEPS_MAX: usize = 10_000;

fn config() -> SessionConfig {
    SessionConfig {
        seeds: vec![Address::new("a", 1)],
        replica_set: None,
        credentials: None,
        app_name: "fuzz".to_owned(),
        server_api: None,
        watch: WatchSpec {
            scope: Scope::Deployment,
            pipeline: Vec::new(),
            full_document: None,
            full_document_before_change: None,
            batch_size: None,
            await_time_ms: 1_000,
            show_expanded_events: false,
            collation: None,
            split_large_events: true,
        },
        server_selection_timeout: Duration::from_secs(30),
        read_ahead_bytes_max: 0,
        memory: MemoryBudget::unbounded(),
    }
}

// Requests are answered in the order of the messages.
fuzz_target!(|bytes: &[u8]| {
    let Some(mut wire) = Wire::new(bytes) else { return };
    let now = Instant::now();
    let mut session = Session::new(config(), ResumePosition::Now, now);
    let mut ids = LinkIds::default();
    let mut link = None;
    for _ in 0..STEPS_MAX {
        while let Some(command) = session.poll(&mut ids, now) {
            match command {
                LinkCommand::Connect { link: new, .. } => {
                    link = Some(new);
                    if session.handle_connected(new, [7; 24], now).is_err() {
                        return;
                    }
                }
                LinkCommand::Close { .. } => link = None,
                LinkCommand::Send { .. } => {}
            }
        }
        loop {
            match session.next_item(now) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let Some(inbox) = link.and_then(|link| session.inbox(link)) else { return };
        if wire.receive(inbox).is_none() {
            return;
        }
    }
});
