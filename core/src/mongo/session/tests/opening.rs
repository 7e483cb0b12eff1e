//! From nothing to an open stream.

use super::*;
use crate::mongo::error_codes::CodeClass;
use crate::mongo::login::Login;
use crate::mongo::scram::{Credentials, Mechanism};

#[test]
fn a_stream_opens_and_is_asked_for_once() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    assert!(get_more.exhaust);
    let want = doc! {
        "getMore": 9_i64, "collection": "$cmd.aggregate", "maxTimeMS": 5_000_i64, "$db": "d",
    };
    assert_eq!(get_more.body, want);
    assert_eq!(rig.position(), token(100), "where the stream begins");
    assert_eq!(rig.session.state(), SessionState::Open { address: &Address::new("a", 1) });
    rig.expect_nothing();
}

#[test]
fn the_position_of_an_opening_with_events_moves_only_with_them() {
    let start = ResumePosition::After(token(5).to_vec().unwrap());
    let mut rig = Rig::new(config(), start.clone());
    rig.connect("a:1");
    rig.greet(&primary());
    let aggregate = rig.expect("aggregate");
    assert_eq!(options(&aggregate), doc! { "startAfter": token(5) });
    rig.give(&encode_reply(1, aggregate.request_id, false, &batch("firstBatch", [6, 7], 9, 8)));
    assert_eq!(rig.session.next_item(rig.now), Ok(Some(Item::Opened)));
    assert_eq!(rig.session.position(), &start);
    assert!(matches!(rig.session.next_item(rig.now), Ok(Some(Item::Event(_)))));
    assert_eq!(rig.position(), token(6));
    assert_eq!(rig.items(), [Seen::Event(7), Seen::BatchEnd]);
    assert_eq!(rig.position(), token(8));
}

#[test]
fn a_server_without_post_batch_tokens_gives_the_operation_time() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&primary());
    let aggregate = rig.expect("aggregate");
    let body = doc! {
        "cursor": { "firstBatch": [], "id": 9_i64 }, "ok": 1.0,
        "operationTime": bson::Timestamp { time: 4, increment: 2 },
    };
    rig.reply(&aggregate, false, &body);
    let want = ResumePosition::AtOperationTime { time: 4, increment: 2 };
    assert_eq!(rig.session.position(), &want);
}

#[test]
fn a_secondary_sends_us_to_its_primary() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&secondary(Some("c:3")));
    rig.connect("c:3");
    rig.greet(&primary());
    rig.expect("aggregate");
}

#[test]
fn every_known_server_is_tried_before_waiting() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&secondary(None));
    rig.connect("b:2");
    assert_eq!(rig.closed(), []);
    rig.connect("c:3");
    let hello = rig.expect("hello");
    assert_eq!(rig.reply(&hello, false, &secondary(Some("a:1"))), [Seen::Interrupted(1)]);
    assert_eq!(rig.drain(), None, "it waits");
    rig.pass(Duration::from_millis(100));
    rig.connect("a:1");
}

#[test]
fn unreachable_servers_fail_at_the_start_with_every_reason() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    let start = rig.now;
    let failure = loop {
        let Some(until) = rig.session.deadline() else { panic!("a deadline") };
        rig.now = rig.now.max(until);
        if let Err(failure) = rig.session.handle_timeout(rig.now) {
            break failure;
        }
        if rig.drain().as_deref() == Some("a:1") {
            rig.closed();
        }
    };
    assert_eq!(rig.now - start, Duration::from_secs(30));
    let text = failure.to_string();
    assert!(text.contains("a:1 (cannot connect to a:1: reset)"), "{text}");
    assert!(text.contains("b:2 (nothing came from b:2 for 10s while connecting)"), "{text}");
    assert_eq!(rig.session.next_item(rig.now), Err(failure));
    assert_eq!(rig.session.deadline(), None);
    assert_eq!(rig.drain(), None);
}

#[test]
fn a_lone_standalone_is_refused_with_the_remedy() {
    let seeds = vec![Address::new("a", 1)];
    let mut rig = Rig::new(SessionConfig { seeds, ..config() }, ResumePosition::Now);
    rig.connect("a:1");
    let hello = rig.expect("hello");
    let body = doc! { "isWritablePrimary": true, "maxWireVersion": 17, "ok": 1.0 };
    let failure = rig.refused(&hello, &body);
    assert!(failure.to_string().contains("rs.initiate()"), "{failure}");
}

#[test]
fn servers_of_no_use_are_passed_over() {
    let replica_set = Some("rs0".to_owned());
    let mut rig = Rig::new(SessionConfig { replica_set, ..config() }, ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&doc! { "isWritablePrimary": true, "maxWireVersion": 17, "ok": 1.0 });
    rig.connect("b:2");
    let hello = rig.expect("hello");
    let other =
        doc! { "isWritablePrimary": true, "setName": "rs1", "maxWireVersion": 17, "ok": 1.0 };
    assert_eq!(rig.reply(&hello, false, &other), [Seen::Interrupted(1)]);
    assert_eq!(rig.last_reason, "b:2 belongs to replica set 'rs1', not to 'rs0'");
}

#[test]
fn a_foreign_set_says_nothing_of_ours() {
    let (seeds, replica_set) = (vec![Address::new("a", 1)], Some("rs0".to_owned()));
    let mut rig = Rig::new(SessionConfig { seeds, replica_set, ..config() }, ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&secondary(None));
    rig.connect("b:2");
    rig.greet(&doc! {
        "isWritablePrimary": true, "setName": "rs1", "hosts": ["x:9"], "primary": "x:9",
        "maxWireVersion": 17, "ok": 1.0,
    });
    rig.connect("c:3");
    rig.greet(&primary());
    rig.expect("aggregate");
}

#[test]
fn an_uninitiated_member_is_waited_for() {
    let seeds = vec![Address::new("a", 1)];
    let mut rig = Rig::new(SessionConfig { seeds, ..config() }, ResumePosition::Now);
    rig.connect("a:1");
    let hello = rig.expect("hello");
    let body = doc! { "isreplicaset": true, "maxWireVersion": 17, "ok": 1.0 };
    assert_eq!(rig.reply(&hello, false, &body), [Seen::Interrupted(1)]);
    assert!(rig.last_reason.contains("rs.initiate()"));
    rig.pass(Duration::from_millis(100));
    rig.connect("a:1");
    rig.greet(&primary());
    rig.expect("aggregate");
}

#[test]
fn an_old_server_is_refused() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    rig.connect("a:1");
    let hello = rig.expect("hello");
    let failure = rig.refused(&hello, &error(59));
    assert!(matches!(failure, SessionError::TooOld { .. }), "{failure}");
}

fn with_credentials(mechanism: Option<Mechanism>) -> SessionConfig {
    let credentials = Credentials {
        username: "u".to_owned(),
        password: "pw".to_owned(),
        source: "admin".to_owned(),
        mechanism,
    };
    SessionConfig { login: Some(Login::Password(credentials)), ..config() }
}

#[test]
fn credentials_are_proved_before_watching() {
    let mut rig = Rig::new(with_credentials(None), ResumePosition::Now);
    rig.connect("a:1");
    let mut hello = primary();
    hello.insert("saslSupportedMechs", vec!["SCRAM-SHA-1", "SCRAM-SHA-256"]);
    rig.greet(&hello);
    let start = rig.expect("saslStart");
    assert_eq!(start.body.get_str("mechanism").unwrap(), "SCRAM-SHA-256");
    let first =
        String::from_utf8(start.body.get_binary_generic("payload").unwrap().clone()).unwrap();
    let nonce = first.rsplit("r=").next().unwrap();
    let server_first = format!("r={nonce}server,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    let payload = bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: server_first.into_bytes(),
    };
    let body = doc! { "conversationId": 3, "done": false, "payload": payload, "ok": 1.0 };
    assert_eq!(rig.reply(&start, false, &body), []);
    let proof = rig.expect("saslContinue");
    assert_eq!(proof.body.get_i32("conversationId").unwrap(), 3);
    let failure = rig.refused(&proof, &error(18));
    let text = failure.to_string();
    assert!(text.starts_with("a:1 refused user 'u' of 'admin'"), "{text}");
    assert!(!text.contains("pw"));
}

#[test]
fn a_certificate_is_all_that_is_needed() {
    for username in [None, Some("CN=client".to_owned())] {
        let login = Some(Login::Certificate { username: username.clone() });
        let mut rig = Rig::new(SessionConfig { login, ..config() }, ResumePosition::Now);
        rig.connect("a:1");
        rig.greet(&primary());
        let command = rig.expect("authenticate");
        assert_eq!(command.body.get_str("mechanism").unwrap(), "MONGODB-X509");
        assert_eq!(command.body.get_str("$db").unwrap(), "$external");
        assert_eq!(command.body.get_str("user").ok(), username.as_deref());
        let body = doc! { "dbname": "$external", "user": "CN=client", "ok": 1.0 };
        assert_eq!(rig.reply(&command, false, &body), []);
        rig.expect("aggregate");
    }
}

#[test]
fn a_certificate_that_no_user_has_is_named() {
    let login = Some(Login::Certificate { username: None });
    let mut rig = Rig::new(SessionConfig { login, ..config() }, ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&primary());
    let command = rig.expect("authenticate");
    let text = rig.refused(&command, &error(18)).to_string();
    assert!(text.contains("the subject of the client certificate' of '$external'"), "{text}");
}

/// What `saslStart` names when `named` stands in the connection string and the server answers `offered`.
fn mechanism_used(named: Option<Mechanism>, offered: Option<&[&str]>) -> String {
    let mut rig = Rig::new(with_credentials(named), ResumePosition::Now);
    rig.connect("a:1");
    let mut hello = primary();
    if let Some(offered) = offered {
        hello.insert("saslSupportedMechs", offered.to_vec());
    }
    rig.greet(&hello);
    rig.expect("saslStart").body.get_str("mechanism").unwrap().to_owned()
}

#[test]
fn the_strongest_mechanism_of_the_user_is_used() {
    let (sha_256, sha_1) = ("SCRAM-SHA-256", "SCRAM-SHA-1");
    assert_eq!(mechanism_used(None, Some(&[sha_1, sha_256])), sha_256);
    assert_eq!(mechanism_used(None, Some(&["PLAIN", sha_1])), sha_1);
    assert_eq!(mechanism_used(None, None), sha_256, "of an unknown user the server says nothing");
}

#[test]
fn a_mechanism_that_is_named_is_used_whatever_the_server_says() {
    for named in Mechanism::ALL {
        for offered in [None, Some(["SCRAM-SHA-1"].as_slice()), Some(&["SCRAM-SHA-256"])] {
            assert_eq!(mechanism_used(Some(named), offered), named.name(), "{offered:?}");
        }
    }
}

#[test]
fn a_user_without_scram_is_refused_before_the_password_is_used() {
    let mut rig = Rig::new(with_credentials(None), ResumePosition::Now);
    rig.connect("a:1");
    let hello = rig.expect("hello");
    let mut body = primary();
    body.insert("saslSupportedMechs", vec!["PLAIN"]);
    let failure = rig.refused(&hello, &body);
    assert!(matches!(failure, SessionError::Mechanism { .. }), "{failure}");
}

#[test]
fn errors_that_a_person_must_decide_stop_and_say_what_to_do() {
    for (code, words) in [
        (286, "nothing was skipped"),
        (280, "offset.partition.name"),
        (260, "still in the oplog"),
        (10334, "16 MB"),
        (13, "actions find and changeStream on database 'd'"),
        (18, "authSource"),
        (40573, "rs.initiate()"),
        (40324, "check pipeline"),
        (73, "check pipeline"),
        (1, "no (code 1 Name)"),
    ] {
        let start = ResumePosition::After(doc! { "_data": "820000000700" }.to_vec().unwrap());
        let mut rig = Rig::new(config(), start);
        rig.connect("a:1");
        rig.greet(&primary());
        let aggregate = rig.expect("aggregate");
        let failure = rig.refused(&aggregate, &error(code));
        let text = failure.to_string();
        assert!(text.contains(words), "{code}: {text}");
        assert!(text.starts_with("a:1 failed while opening the change stream on database 'd'"));
        assert_eq!(failure.is_position_lost(), [260, 280, 286].contains(&code), "{code}");
        assert_eq!(text.contains("cluster time 7 s"), failure.is_position_lost());
        let (SessionError::Command { error, .. } | SessionError::PositionLost { error, .. }) =
            failure
        else {
            panic!("{text}");
        };
        assert_ne!(error.class(true), CodeClass::Retry);
    }
}
