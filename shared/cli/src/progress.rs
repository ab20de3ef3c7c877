//! Progress on standard error, on a terminal only; elsewhere these bars are silent.

use crate::color::{self, Choice};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::IsTerminal, time::Duration};

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things: entries, files, regions.
    Items,
    /// Bytes, shown as KiB, MiB, GiB.
    Bytes,
}

/// A bar from 0 to `total`, with `label` before it. Drop or `finish_and_clear` it at the end.
pub fn bar(label: &str, total: u64, unit: Unit) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target());
    bar.set_style(style(&bar_template(unit, color::on_stderr(Choice::Auto).0)));
    bar.set_message(crate::output::printable(label));
    bar
}

/// A sign that something of unknown length goes on.
pub fn spinner(label: &str) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, target());
    spinner.set_style(style("{spinner} {msg} ({elapsed})"));
    spinner.set_message(crate::output::printable(label));
    if !spinner.is_hidden() {
        spinner.enable_steady_tick(Duration::from_millis(120));
    }
    spinner
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    }
}

fn bar_template(unit: Unit, colored: bool) -> String {
    let bar = if colored { "{bar:30.green}" } else { "{bar:30}" };
    match unit {
        Unit::Items => format!("{{msg}} {bar} {{pos}}/{{len}} ({{eta}})"),
        Unit::Bytes => {
            format!(
                "{{msg}} {bar} {{binary_bytes}}/{{binary_total_bytes}} {{binary_bytes_per_sec}} ({{eta}})"
            )
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_parse_and_colour_only_when_asked() {
        for unit in [Unit::Items, Unit::Bytes] {
            for colored in [true, false] {
                let template = bar_template(unit, colored);
                assert!(ProgressStyle::with_template(&template).is_ok(), "{template}");
                assert_eq!(template.contains("green"), colored);
            }
        }
    }

    #[test]
    fn a_bar_counts_even_when_nobody_sees_it() {
        let bar = bar("voci", 10, Unit::Items);
        bar.inc(4);
        assert_eq!(bar.position(), 4);
        bar.finish_and_clear();
    }
}
