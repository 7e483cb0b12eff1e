//! A client whose broker says anything, cut anywhere: records are kept or an error is said, never a panic.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use millrace_core::kafka::{Client, ClientConfig};
use millrace_core::link::{Address, LinkCommand, LinkIds};
use millrace_core_fuzz::Wire;

const STEPS_MAX: usize = 10_000;

// Requests are answered in the order of the frames.
fuzz_target!(|bytes: &[u8]| {
    let Some(mut wire) = Wire::new(bytes) else { return };
    let now = Instant::now();
    let mut client = Client::new(ClientConfig::new(vec![Address::new("a", 1)]), now);
    let topic = client.topic("t", None);
    let mut ids = LinkIds::default();
    let mut links = Vec::new();
    for _ in 0..STEPS_MAX {
        while let Some(command) = client.poll(&mut ids, now) {
            match command {
                LinkCommand::Connect { link, .. } => {
                    links.push(link);
                    client.handle_connected(link, now);
                }
                LinkCommand::Close { link } => links.retain(|open| *open != link),
                LinkCommand::Send { .. } => {}
            }
        }
        if client.topic_ready(topic).is_some() {
            let _ = client.append(topic, 0, Some(b"k"), 0, 1, |out| out.push(b'v'));
            client.flush();
        }
        while client.next_acknowledged().is_some() || client.next_notice().is_some() {}
        let Some(&link) = links.last() else { return };
        let Some(inbox) = client.inbox(link) else { return };
        if wire.receive(inbox).is_none() {
            return;
        }
        if client.handle_received(link, now).is_err() {
            return;
        }
    }
});
