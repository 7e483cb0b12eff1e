//! The client at brokers that ask who it is, that lie, and whose sessions end.

use std::time::Duration;

use crate::kafka::fake_login::{FakeLogin, Lie, PASSWORD, config};
use crate::kafka::rig::{Rig, TOPIC};
use crate::kafka::sasl::{Hash, Mechanism, SaslError};
use crate::kafka::{ClientError, ErrorCode};
use crate::scram::ScramError;

const SCRAM: Mechanism = Mechanism::Scram(Hash::Sha512);

/// Brokers that want `mechanism`, and a client that has `password`.
fn rig(mechanism: Mechanism, password: &str) -> Rig {
    let mut rig = Rig::new(|sasl| sasl.sasl = Some(config(mechanism, password)));
    rig.cluster.login = Some(FakeLogin::new(mechanism));
    rig
}

fn login(rig: &mut Rig) -> &mut FakeLogin {
    rig.cluster.login.as_mut().unwrap()
}

/// Why the client does not get in.
fn refusal(rig: &mut Rig) -> SaslError {
    rig.client.topic(TOPIC, None);
    match rig.pump() {
        Err(ClientError::Authentication { broker, error }) => {
            assert!(broker.starts_with("broker-"), "{broker}");
            error
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_are_stored_by_every_mechanism() {
    for mechanism in Mechanism::ALL {
        let mut rig = rig(mechanism, PASSWORD);
        let topic = rig.topic();
        rig.append(topic, 0, b"one");
        rig.append(topic, 1, b"two");
        rig.client.flush();
        rig.pump().unwrap();
        assert_eq!((rig.values(0), rig.values(1)), (vec!["one".into()], vec!["two".into()]));
        assert_eq!(login(&mut rig).logins, 2, "{mechanism:?}: one for each broker");
    }
}

#[test]
fn a_wrong_password_ends_the_client_in_the_words_of_the_broker() {
    for mechanism in Mechanism::ALL {
        let error = refusal(&mut rig(mechanism, "wrong"));
        let refused = ErrorCode::SASL_AUTHENTICATION_FAILED;
        let message = Some("Authentication failed".to_owned());
        assert_eq!(error, SaslError::Refused { error: refused, message });
        let text = error.to_string();
        assert!(text.starts_with("SASL_AUTHENTICATION_FAILED (58): Authentication failed; check"));
    }
}

#[test]
fn a_mechanism_that_is_not_enabled_ends_the_client_with_those_that_are() {
    let mut rig = rig(Mechanism::Plain, PASSWORD);
    rig.cluster.login = Some(FakeLogin::new(SCRAM));
    assert_eq!(
        refusal(&mut rig).to_string(),
        "UNSUPPORTED_SASL_MECHANISM (33): Client SASL mechanism 'PLAIN' not enabled in the server, \
         enabled mechanisms are [SCRAM-SHA-512]; set sasl.mechanism to one of them"
    );
}

#[test]
fn a_broker_that_lies_is_not_talked_to() {
    for hash in [Hash::Sha256, Hash::Sha512] {
        for (lie, wanted) in [
            (Lie::ForeignNonce, ScramError::Nonce),
            (Lie::Iterations(4_095), ScramError::Iterations { iterations: 4_095 }),
            (Lie::Iterations(0), ScramError::Iterations { iterations: 0 }),
            (Lie::Iterations(u32::MAX), ScramError::Iterations { iterations: u32::MAX }),
            (Lie::Salt, ScramError::Malformed),
            (Lie::NotUtf8, ScramError::Malformed),
            (Lie::Empty, ScramError::Malformed),
            (Lie::Signature, ScramError::Signature),
        ] {
            let mut rig = rig(Mechanism::Scram(hash), PASSWORD);
            login(&mut rig).lie = Some(lie);
            let mechanism = Mechanism::Scram(hash);
            assert_eq!(refusal(&mut rig), SaslError::Scram { mechanism, error: wanted }, "{lie:?}");
            assert!(rig.produced.is_empty());
        }
    }
}

#[test]
fn every_conversation_has_a_nonce_of_its_own() {
    let mut rig = rig(SCRAM, PASSWORD);
    login(&mut rig).session_lifetime_ms = 2_000;
    rig.topic();
    for _ in 0..5 {
        rig.now += Duration::from_secs(2);
        rig.pump().unwrap();
    }
    let mut nonces = login(&mut rig).nonces.clone();
    assert!(6 <= nonces.len(), "{nonces:?}");
    assert!(nonces.iter().all(|nonce| 40 < nonce.len() && !nonce.contains(',')), "{nonces:?}");
    let count = nonces.len();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), count);
}

#[test]
fn a_session_is_renewed_before_it_ends_and_nothing_is_asked_meanwhile() {
    let mut rig = rig(SCRAM, PASSWORD);
    login(&mut rig).session_lifetime_ms = 10_000;
    let topic = rig.topic();
    let (before, connects) = (login(&mut rig).logins, rig.connects);
    rig.pass(Duration::from_millis(8_900)).unwrap();
    rig.pump().unwrap();
    assert_eq!(login(&mut rig).logins, before, "too early");
    // Requests are under way when the session is about to end; their answers come first.
    rig.holds = true;
    rig.append(topic, 0, b"one");
    rig.client.flush();
    rig.pump().unwrap();
    rig.now += Duration::from_millis(200);
    rig.append(topic, 0, b"two");
    rig.client.flush();
    rig.pump().unwrap();
    assert_eq!(rig.produced.len(), 1, "the second waits for the new session");
    rig.release();
    assert_eq!(rig.values(0), ["one", "two"]);
    assert_eq!(rig.connects, connects, "on the same connections");
    assert_eq!(login(&mut rig).logins, before + 2);
}

#[test]
fn a_session_without_an_end_is_never_renewed() {
    let mut rig = rig(SCRAM, PASSWORD);
    rig.topic();
    let before = login(&mut rig).logins;
    rig.pass(Duration::from_secs(3_600)).unwrap();
    assert_eq!(login(&mut rig).logins, before);
}

#[test]
fn a_password_that_is_no_longer_right_ends_the_client_at_the_renewal() {
    let mut rig = rig(SCRAM, PASSWORD);
    login(&mut rig).session_lifetime_ms = 10_000;
    rig.topic();
    login(&mut rig).lie = Some(Lie::Signature);
    rig.now += Duration::from_secs(10);
    let error = rig.pump().unwrap_err();
    assert!(matches!(error, ClientError::Authentication { .. }), "{error}");
}

#[test]
fn a_connection_that_is_lost_while_we_log_in_is_tried_again() {
    let mut rig = rig(SCRAM, PASSWORD);
    rig.holds = true;
    let topic = rig.client.topic(TOPIC, None);
    rig.pump().unwrap();
    while let Some((link, versions)) = rig.held.pop_front() {
        rig.holds = false;
        rig.reply(link, &versions).unwrap();
        rig.client.handle_closed(link, "reset by the peer", rig.now).unwrap();
    }
    let notice = last_notice(&mut rig);
    assert!(notice.ends_with("reset by the peer while we logged in; attempt 1 failed"), "{notice}");
    rig.pump().unwrap();
    rig.pass(Duration::from_secs(1)).unwrap();
    assert!(rig.client.topic_ready(topic).is_some());
}

/// Lets `count` answers of each connection through, and holds back what follows.
fn let_through(rig: &mut Rig, count: usize) {
    rig.holds = true;
    rig.pump().unwrap();
    for _ in 0..count {
        for (link, answer) in rig.held.drain(..).collect::<Vec<_>>() {
            rig.reply(link, &answer).unwrap();
        }
        rig.pump().unwrap();
    }
}

/// What is told of the connection that waits for an answer, when it is lost.
fn notice_of_loss(rig: &mut Rig) -> String {
    let (link, _) = rig.held.pop_front().unwrap();
    rig.client.handle_closed(link, "reset by the peer", rig.now).unwrap();
    last_notice(rig)
}

fn last_notice(rig: &mut Rig) -> String {
    std::iter::from_fn(|| rig.client.next_notice()).last().unwrap().to_string()
}

#[test]
fn sasl_is_suggested_only_to_who_does_not_use_it() {
    let suggestion = "reset by the peer when asked for metadata; does this listener want SASL?";
    // Before the metadata: the versions, and the two steps of PLAIN.
    for (mut rig, answers, suggests) in
        [(Rig::new(|_| {}), 1, true), (rig(Mechanism::Plain, PASSWORD), 3, false)]
    {
        rig.client.topic(TOPIC, None);
        let_through(&mut rig, answers);
        let notice = notice_of_loss(&mut rig);
        assert!(notice.contains("reset by the peer"), "{notice}");
        assert_eq!(notice.contains(suggestion), suggests, "{notice}");
        assert_eq!(notice.contains("SASL"), suggests, "{notice}");
    }
}

#[test]
fn a_connection_that_is_lost_at_the_renewal_is_told_with_that() {
    let mut rig = rig(SCRAM, PASSWORD);
    login(&mut rig).session_lifetime_ms = 10_000;
    rig.topic();
    rig.now += Duration::from_secs(10);
    let_through(&mut rig, 0);
    let notice = notice_of_loss(&mut rig);
    assert!(notice.contains("reset by the peer while we logged in again"), "{notice}");
}

#[test]
fn a_broker_that_cannot_decide_is_asked_again() {
    for error in [ErrorCode::UNKNOWN_SERVER_ERROR, ErrorCode(-32_000)] {
        let mut rig = rig(SCRAM, PASSWORD);
        login(&mut rig).fault = Some(error);
        let topic = rig.client.topic(TOPIC, None);
        rig.pump().unwrap();
        let notice = last_notice(&mut rig);
        let told = format!("SaslAuthenticate was answered with {error:?}: Authentication failed");
        assert!(notice.contains(&told), "{notice}");
        login(&mut rig).fault = None;
        rig.pass(Duration::from_secs(1)).unwrap();
        assert!(rig.client.topic_ready(topic).is_some());
    }
}

#[test]
fn a_broker_that_decided_against_us_ends_the_client() {
    for error in [ErrorCode::UNSUPPORTED_SASL_MECHANISM, ErrorCode::ILLEGAL_SASL_STATE] {
        let mut rig = rig(SCRAM, PASSWORD);
        login(&mut rig).fault = Some(error);
        let message = Some("Authentication failed".to_owned());
        assert_eq!(refusal(&mut rig), SaslError::Refused { error, message });
    }
}

#[test]
fn a_broker_that_says_nothing_to_a_login_is_given_up_in_time() {
    let mut rig = rig(SCRAM, PASSWORD);
    rig.client.topic(TOPIC, None);
    rig.holds = true;
    rig.pump().unwrap();
    let versions = rig.held.drain(..).collect::<Vec<_>>();
    for (link, versions) in versions {
        rig.reply(link, &versions).unwrap();
    }
    rig.pump().unwrap();
    let handshakes = rig.held.len();
    assert_eq!(handshakes, 2);
    rig.pass(Duration::from_secs(11)).unwrap();
    let notice = last_notice(&mut rig);
    assert!(notice.contains("no answer in time"), "{notice}");
}
