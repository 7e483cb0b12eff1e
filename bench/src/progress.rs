//! What a person at a terminal sees while something takes long. In a pipe: nothing.
//!
//! ```text
//! loading       ━━━━━━━━━━━━━━━━╸               128,000/200,000   61,204/s
//! ```
//!
//! Bars go to stderr, so that stdout holds the result alone. They use no colour, which is what `NO_COLOR` asks for.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const COUNTED: &str = "{msg:14} {bar:32} {human_pos:>10}/{human_len}  {per_sec}";
const WAITING: &str = "{msg:14} {spinner} {elapsed}";

/// Makes the bars of a command.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    visible: bool,
}

impl Progress {
    /// Visible if stderr is a terminal.
    pub fn on_terminal() -> Self {
        Self { visible: io::stderr().is_terminal() }
    }

    /// Never visible.
    pub fn hidden() -> Self {
        Self { visible: false }
    }

    /// A bar that counts to `total`.
    pub fn count(self, what: &'static str, total: u64) -> ProgressBar {
        self.bar(ProgressBar::with_draw_target(Some(total), self.target()), what, COUNTED)
    }

    /// A spinner for what cannot be counted.
    pub fn wait(self, what: &'static str) -> ProgressBar {
        let bar = self.bar(ProgressBar::with_draw_target(None, self.target()), what, WAITING);
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        bar
    }

    fn target(self) -> ProgressDrawTarget {
        if self.visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
    }

    fn bar(self, bar: ProgressBar, what: &'static str, template: &str) -> ProgressBar {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_message(what);
        bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_well_formed() {
        for template in [COUNTED, WAITING] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_hidden_bar_draws_nothing() {
        assert!(Progress::hidden().count("x", 10).is_hidden());
        assert!(Progress::hidden().wait("x").is_hidden());
    }
}
