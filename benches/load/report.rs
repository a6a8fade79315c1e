//! The table that is printed at the end.

use super::load::Phase;

/// Rows in the order in which they were measured.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<(String, String)>,
}

impl Report {
    pub(super) fn add(&mut self, what: &str, figure: String) {
        eprintln!("{what}: {figure}");
        self.rows.push((what.to_owned(), figure));
    }

    /// A phase of load: throughput, latencies, and the server's processor time if it is known.
    pub(super) fn add_phase(&mut self, what: &str, phase: &Phase, cpu_seconds: Option<f64>) {
        let requests = phase.latencies.len();
        let at = |share: f64| {
            let index = ((requests as f64 * share) as usize).min(requests.saturating_sub(1));
            phase.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let cpu = cpu_seconds
            .map(|seconds| format!(", {:.2} CPU s per 1,000", seconds * 1e3 / requests.max(1) as f64))
            .unwrap_or_default();
        let rate = requests as f64 / phase.took.as_secs_f64();
        self.add(what, format!("{rate:.0}/s, p50 {:.1} ms, p99 {:.1} ms{cpu}", at(0.5), at(0.99)));
    }

    pub(super) fn print(&self) {
        println!("| what | measured |\n|---|---|");
        for (what, figure) in &self.rows {
            println!("| {what} | {figure} |");
        }
    }
}
