//! What the demo says while it works, on standard error: phases with the seconds since the start, bars on a
//! terminal.

use indicatif::ProgressBar;
use raccordo_cli::{
    output::note,
    progress::{self, Unit},
};
use std::time::Instant;

/// The voice of the demo.
#[derive(Debug)]
pub(crate) struct Stage {
    began: Instant,
}

impl Stage {
    /// The clock of the elapsed seconds starts.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// A new phase begins.
    pub(crate) fn phase(&self, title: &str) {
        note(&format!("[{:6.1} s] == {title}", self.seconds()));
    }

    /// Something that happened within the phase.
    pub(crate) fn say(&self, text: &str) {
        note(&format!("[{:6.1} s]    {text}", self.seconds()));
    }

    /// A bar of `total` steps, seen on a terminal only.
    pub(crate) fn bar(&self, label: &str, total: usize) -> ProgressBar {
        progress::bar(label, total as u64, Unit::Items)
    }
}
