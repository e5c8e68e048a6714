//! How far an import is: a bar where somebody watches, and a line now and then where it is a log.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use uuid::Uuid;

use crate::platform::Stopwatch;

/// How often a log gets a line.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What became of the lines so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Accounts that were created.
    pub(super) created: u64,
    /// Accounts that the same import had created before.
    pub(super) already: u64,
    /// Lines that were refused.
    pub(super) refused: u64,
}

/// What became of a line whose person has an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Outcome {
    Created,
    AlreadyImported,
}

impl Counts {
    /// Counts one of them.
    pub(super) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::AlreadyImported => self.already += 1,
        }
    }
}

/// Shows how far an import is, on standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    since: Stopwatch,
    shown: Duration,
}

impl Progress {
    /// Begins; `length` is that of the file in octets, where it is known.
    pub(super) fn begin(import_id: Uuid, length: Option<u64>) -> Self {
        say(&format!("import {import_id}"));
        let bar = std::io::stderr().is_terminal().then(|| {
            let (bar, template) = match length {
                Some(length) => (ProgressBar::new(length), "{bar:40} {percent:>3} %  {msg}, {eta} to go"),
                None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
            };
            bar.set_draw_target(ProgressDrawTarget::stderr());
            // A template that is wrong would only cost the look.
            bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, since: Stopwatch::start(), shown: Duration::ZERO }
    }

    /// Shows where it is.
    pub(super) fn show(&mut self, bytes: u64, lines: u64, counts: &Counts) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(sentence(lines, counts));
        } else if self.since.elapsed() >= self.shown + LINE_EVERY {
            self.shown = self.since.elapsed();
            say(&sentence(lines, counts));
        }
    }

    /// Shows what came of it.
    pub(super) fn end(&mut self, lines: u64, counts: &Counts, validation: bool) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let after = match validation {
            true => "; nothing was created: this was a validation",
            false => "",
        };
        say(&format!("{} in {:.1} s{after}", sentence(lines, counts), self.since.seconds()));
    }
}

fn sentence(lines: u64, counts: &Counts) -> String {
    let Counts { created, already, refused } = counts;
    format!("{lines} lines: {created} created, {already} were there already, {refused} refused")
}

/// Where not even standard error takes it, the exit status has to do.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
