//! What MongoDB is: which servers of it can be reached, its version, and how its clock goes.

use millrace_core::link::Address;
use millrace_core::mongo::session::SessionError;
use mongodb::bson::Document;

use super::finding::Finding;
use super::images::Want;
use crate::config::SourceConfig;

pub(super) const SERVERS: &str = "servers";
const MEMBERS: &str = "members";
const VERSION: &str = "version";
const CLOCK: &str = "clock";
/// The port of a member that is named without one.
const PORT_DEFAULT: u16 = 27_017;
/// Less is of no consequence to anybody. Milliseconds.
const SKEW_MAX_MS: i64 = 1_000;

/// What became of the attempt to use a server.
pub(super) type Tried<'a> = (&'a Address, Option<&'a SessionError>);

/// A server that serves, or a member that is only not the primary.
fn is_there(error: Option<&SessionError>) -> bool {
    matches!(error, None | Some(SessionError::NotPrimary { .. }))
}

/// Of the servers that connection.uri names. `usable`: the primary or router that was found through them.
pub(super) fn judge_servers(tried: &[Tried<'_>], usable: Option<&Address>) -> Finding {
    let gone: Vec<String> = tried
        .iter()
        .filter(|(_, error)| !is_there(*error))
        .filter_map(|(_, error)| error.map(ToString::to_string))
        .collect();
    match usable {
        Some(usable) if gone.is_empty() => {
            Finding::ok(SERVERS, format!("{usable} can be watched, all {} answer", tried.len()))
        }
        Some(usable) => Finding::warning(
            SERVERS,
            format!("{usable} can be watched, but {}", gone.join("; ")),
            "take servers that are gone out of connection.uri, or start them",
        ),
        None => {
            let errors = || tried.iter().filter_map(|(_, error)| *error);
            // One that refuses us knows better than one that cannot be reached.
            let refusal = errors().find(|error| {
                !is_there(Some(error))
                    && !matches!(error, SessionError::Closed { .. } | SessionError::Silent { .. })
            });
            match refusal {
                Some(error) => Finding::of_error(SERVERS, error),
                None if errors().any(|error| is_there(Some(error))) => Finding::failure(
                    SERVERS,
                    "no primary can be reached, only members that are none",
                    "look at rs.status() in mongosh; is a majority of the members up?",
                ),
                None => Finding::failure(
                    SERVERS,
                    gone.join("; "),
                    "check the hosts in connection.uri, and that the servers run and can be reached from here",
                ),
            }
        }
    }
}

/// Of the members that the set names and connection.uri does not.
pub(super) fn judge_members(tried: &[Tried<'_>]) -> Finding {
    let gone: Vec<String> = tried
        .iter()
        .filter(|(_, error)| !is_there(*error))
        .map(|(address, error)| match error {
            Some(error) => format!("{address} ({error})"),
            None => address.to_string(),
        })
        .collect();
    if gone.is_empty() {
        return Finding::ok(
            MEMBERS,
            "every member can be reached under the name that the set has for it",
        );
    }
    Finding::warning(
        MEMBERS,
        format!("the set names {}", gone.join(", ")),
        "a member that becomes primary is looked for under the name in rs.conf(): make it resolve and answer from here",
    )
}

/// The members that hold data, as the answer to `hello` names them.
pub(super) fn members(hello: &Document) -> Vec<Address> {
    let lists = ["hosts", "passives"].into_iter();
    let names = lists.filter_map(|list| hello.get_array(list).ok()).flatten();
    names.filter_map(|name| Address::parse(name.as_str()?, PORT_DEFAULT)).collect()
}

/// Whether the server is a router, which has no oplog of its own.
pub(super) fn is_router(hello: &Document) -> bool {
    hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid")
}

/// Of the version, and whether it has what the connector asks for. `answer` is that to `buildInfo`.
pub(super) fn judge_version(hello: &Document, answer: &Document, source: &SourceConfig) -> Finding {
    let Some(version) = Version::of(answer) else {
        return Finding::not_checked(VERSION, "the server does not tell its version");
    };
    let what = match hello.get_str("setName") {
        Ok(name) => format!("replica set '{name}' of {} members", members(hello).len()),
        Err(_) => "sharded cluster".to_owned(),
    };
    let seen = format!("MongoDB {}, {what}", version.shown());
    let wanted = [
        (Want::of(source) != Want::No, Version(6, 0, 0), "pre- and post-images"),
        (source.show_expanded_events, Version(6, 0, 0), "change.stream.show.expanded.events"),
        (source.split_large_events, Version(6, 0, 9), "split.large.events"),
        (source.server_api.is_some(), Version(5, 0, 0), "server.api.version"),
    ];
    match wanted.into_iter().find(|(is_wanted, since, _)| *is_wanted && version < *since) {
        None => Finding::ok(VERSION, seen),
        Some((_, since, what)) => Finding::failure(
            VERSION,
            format!("{seen}, and the connector asks for {what}"),
            format!("upgrade to MongoDB {} or later, or do without it", since.shown()),
        ),
    }
}

/// `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl Version {
    fn of(answer: &Document) -> Option<Self> {
        let numbers = answer.get_array("versionArray").ok()?.iter();
        let mut numbers = numbers.map(|number| u32::try_from(number.as_i32()?).ok());
        Some(Self(numbers.next()??, numbers.next()??, numbers.next()??))
    }

    fn shown(self) -> String {
        let Self(major, minor, patch) = self;
        format!("{major}.{minor}.{patch}")
    }
}

/// Of two clocks: the server's when it answered, ours when we asked and when the answer was there. Milliseconds.
pub(super) fn judge_clock(server_ms: i64, asked_ms: i64, answered_ms: i64) -> Finding {
    let uncertain_ms = (answered_ms - asked_ms).max(0) / 2;
    let skew_ms = server_ms - (asked_ms + uncertain_ms);
    let seen = format!("the server's is {skew_ms} ms ahead, within {uncertain_ms} ms");
    if skew_ms.abs() <= SKEW_MAX_MS + uncertain_ms {
        return Finding::ok(CLOCK, seen);
    }
    Finding::warning(
        CLOCK,
        format!("{seen}: latencies and lag are wrong by as much"),
        "let NTP or chrony set both clocks",
    )
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::super::finding::Outcome;
    use super::*;

    fn address(name: &str) -> Address {
        Address::new(name, 1)
    }

    #[test]
    fn set_without_some_of_its_servers_is_a_warning_and_without_all_a_failure() {
        let (a, b) = (address("a"), address("b"));
        let not_primary = SessionError::NotPrimary { address: b.clone(), primary: Some(a.clone()) };
        let standalone = SessionError::Standalone { address: b.clone() };
        let silent = SessionError::Silent {
            address: b.clone(),
            doing: millrace_core::mongo::session_error::Doing::Connecting,
            waited: std::time::Duration::from_secs(4),
        };
        let servers = |error, usable: Option<&Address>| {
            judge_servers(&[(&a, None), (&b, Some(error))], usable)
        };
        assert!(matches!(servers(&not_primary, Some(&a)).outcome, Outcome::Ok { .. }));
        assert!(matches!(servers(&silent, Some(&a)).outcome, Outcome::Warning { .. }));
        let finding = judge_servers(&[(&a, Some(&silent)), (&b, Some(&standalone))], None);
        let Outcome::Failure { seen, .. } = finding.outcome else { panic!() };
        assert!(seen.contains("standalone"), "{seen}");
        for error in [&silent, &not_primary] {
            assert!(judge_servers(&[(&b, Some(error))], None).is_failure());
        }
        assert!(matches!(judge_members(&[(&b, Some(&silent))]).outcome, Outcome::Warning { .. }));
        assert!(matches!(judge_members(&[(&b, Some(&not_primary))]).outcome, Outcome::Ok { .. }));
    }

    #[test]
    fn members_are_those_with_data() {
        let hello = doc! { "hosts": ["a:1", "b", 7], "passives": ["c:3"], "arbiters": ["d:4"] };
        let want = [Address::new("a", 1), Address::new("b", 27_017), Address::new("c", 3)];
        assert_eq!(members(&hello), want);
        assert_eq!(members(&doc! { "hosts": 1 }), []);
    }

    #[test]
    fn versions_are_compared_by_number() {
        let version = |numbers: [i32; 4]| Version::of(&doc! { "versionArray": numbers.to_vec() });
        assert!(version([6, 0, 10, 0]) > version([6, 0, 9, 0]));
        assert_eq!(version([6, 0, -1, 0]), None);
        assert_eq!(Version::of(&doc! { "versionArray": [6.0, 0] }), None);
    }

    #[test]
    fn clock_is_judged_by_what_the_way_leaves_certain() {
        let is_ok = |server, asked, answered| {
            matches!(judge_clock(server, asked, answered).outcome, Outcome::Ok { .. })
        };
        assert!(is_ok(10_000, 9_990, 10_010) && is_ok(11_000, 9_990, 10_010));
        assert!(!is_ok(12_000, 9_990, 10_010) && !is_ok(8_000, 9_990, 10_010));
        assert!(is_ok(13_000, 8_000, 14_000), "three seconds are uncertain");
    }
}
