//! What a topic of one partition may hold after kills: runs of rising tokens, each begun behind a stored position.
//!
//! ```text
//! token     1 2 3 4 5 6 │ 4 5 6 7 8 9 │ 9 10 11
//! killed at             ▲ stored 3    ▲ stored 8
//!                         └─ window ─┘  4 5 6 and 9 come again: they were not stored
//! ```
//!
//! Tokens rise in the order of the stream, and their hexadecimal texts compare as they do.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};

/// A kill of the node.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// The position that was stored when the node was dead.
    pub(crate) stored: String,
    /// The newest token in the topic after that.
    pub(crate) newest: String,
    /// How many records the topic held then.
    pub(crate) end: usize,
}

/// Fails unless every repeated token was not stored at the kill before it, and every kill came after new
/// acknowledgements. Returns how many records are repeats.
pub(crate) fn judge_windows(tokens: &[&str], kills: &[Kill]) -> Result<usize> {
    let mut seen = HashSet::new();
    let mut repeats = 0;
    for (number, run) in runs(tokens, kills).enumerate() {
        let stored = number.checked_sub(1).map(|kill| kills[kill].stored.as_str());
        for pair in run.windows(2) {
            ensure!(pair[0] < pair[1], "after kill {number}: {} comes before {}", pair[0], pair[1]);
        }
        for &token in run {
            if !seen.insert(token) {
                repeats += 1;
                let Some(stored) = stored else { bail!("{token} is there twice before any kill") };
                ensure!(
                    stored < token,
                    "{token} came again after kill {number}, at which {stored} was stored"
                );
            }
        }
    }
    for (number, pair) in kills.windows(2).enumerate() {
        let (before, kill) = (&pair[0].newest, &pair[1]);
        let is_new = |token: &&str| before.as_str() < *token && *token <= kill.stored.as_str();
        ensure!(
            tokens.iter().any(is_new),
            "nothing new was acknowledged between the kills {} and {}: {before} was the newest, {} is stored",
            number + 1,
            number + 2,
            kill.stored
        );
    }
    Ok(repeats)
}

/// The records before the first kill, between two kills, and after the last.
fn runs<'a, 't>(tokens: &'a [&'t str], kills: &'a [Kill]) -> impl Iterator<Item = &'a [&'t str]> {
    let ends = kills.iter().map(|kill| kill.end).chain([tokens.len()]);
    ends.scan(0, |start, end| {
        let run = &tokens[*start..end];
        *start = end;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill(stored: &str, newest: &str, end: usize) -> Kill {
        Kill { stored: stored.into(), newest: newest.into(), end }
    }

    const TOKENS: [&str; 15] =
        ["01", "02", "03", "04", "05", "06", "04", "05", "06", "07", "08", "09", "09", "10", "11"];

    fn kills() -> Vec<Kill> {
        vec![kill("03", "06", 6), kill("08", "09", 12)]
    }

    #[test]
    fn what_was_not_stored_may_come_again() {
        assert_eq!(judge_windows(&TOKENS, &kills()).unwrap(), 4);
        assert_eq!(judge_windows(&["01", "02"], &[]).unwrap(), 0);
    }

    #[test]
    fn what_was_stored_must_not_come_again() {
        let mut kills = kills();
        kills[0].stored = "04".into();
        let error = judge_windows(&TOKENS, &kills).unwrap_err().to_string();
        assert_eq!(error, "04 came again after kill 1, at which 04 was stored");
    }

    #[test]
    fn nothing_comes_again_or_back_without_a_kill() {
        for tokens in [["01", "02", "02"], ["01", "03", "02"]] {
            assert!(judge_windows(&tokens, &[]).is_err());
        }
    }

    #[test]
    fn a_kill_without_new_acknowledgements_is_no_kill() {
        let mut kills = kills();
        kills[1].stored = "06".into();
        let error = judge_windows(&TOKENS, &kills).unwrap_err().to_string();
        assert!(error.starts_with("nothing new was acknowledged between the kills 1 and 2"));
    }
}
