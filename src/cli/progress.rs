//! Progress on a terminal: a spinner or a bar where somebody looks, plain lines where not.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for work of a known size; hidden when standard error is not a terminal.
pub(super) fn bar(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} ({per_sec})") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar
}

/// A spinner for work that takes a while; hidden when standard error is not a terminal.
pub(super) fn spinner(what: impl Into<String>) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.set_message(what.into());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
