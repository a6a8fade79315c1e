//! One logical cluster with requests under way: its seats, and how its own priority levels divide them.
//!
//! Whatever a cluster configures divides what it has; it never gets more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::line::{Line, Next};
use super::policy::{Level, Policy};

/// A cluster that somebody is served or waits in.
pub(super) struct Tenant {
    policy: Arc<Policy>,
    /// The levels that are at work.
    lines: Vec<Line>,
    /// All seats it has.
    pub(super) in_use: u32,
    /// Those of them that levels with limits have.
    limited: u32,
    pub(super) waiting: usize,
    /// Watches and connections that go on.
    pub(super) held: u32,
    /// Where it stands among those that could use a seat.
    pub(super) place: Option<(u32, u64)>,
}

/// The next request of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    line: usize,
    pub(super) next: Next,
}

// === impl Tenant ===

impl Tenant {
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        Self { policy, lines: Vec::with_capacity(1), in_use: 0, limited: 0, waiting: 0, held: 0, place: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_use == 0 && self.waiting == 0 && self.held == 0
    }

    /// From now on the levels are those of another policy. Whoever waits at one that is gone stays until served.
    pub(super) fn adopt(&mut self, policy: &Arc<Policy>) {
        if Arc::ptr_eq(&self.policy, policy) {
            return;
        }
        self.policy = policy.clone();
        self.lines.retain_mut(|line| match policy.level(&line.level.name) {
            Some(level) => {
                line.level = level.clone();
                line.lingers = false;
                true
            }
            None => {
                line.lingers = true;
                !line.is_idle()
            }
        });
    }

    pub(super) fn line(&mut self, level: &Arc<Level>) -> &mut Line {
        let index = self.index(level);
        &mut self.lines[index]
    }

    /// Where a level is among those at work; there are few.
    fn index(&mut self, level: &Arc<Level>) -> usize {
        let found = self.lines.iter().position(|line| line.level.name == level.name);
        found.unwrap_or_else(|| {
            self.lines.push(Line::new(level.clone()));
            self.lines.len() - 1
        })
    }

    /// Whether a request of so many seats may go at once, as far as the cluster's own levels go.
    pub(super) fn may_go(&mut self, level: &Arc<Level>, seats: u32) -> bool {
        let index = self.index(level);
        self.lines[index].waiting() == 0 && self.may_start(index, seats)
    }

    fn may_start(&self, index: usize, seats: u32) -> bool {
        let line = &self.lines[index];
        let Some(limits) = line.limits() else { return true };
        if line.lingers {
            return line.used == 0;
        }
        let wanted = line.used + seats;
        if wanted <= limits.kept || self.limited == 0 {
            return true;
        }
        // Beyond what it keeps a level uses what others do not keep.
        let used_of_kept = |line: &Line| line.limits().map_or(0, |limits| limits.kept.min(line.used));
        let used: u32 = self.lines.iter().filter(|line| !line.lingers).map(used_of_kept).sum();
        let unused = self.policy.kept_by_all().saturating_sub(used);
        let kept_by_others = unused.saturating_sub(line.kept_unused());
        wanted <= limits.most && self.limited + seats + kept_by_others <= self.policy.seats()
    }

    /// Lets a request through that did not wait.
    pub(super) fn start(&mut self, level: &Arc<Level>, seats: u32) {
        let line = self.line(level);
        line.used += seats;
        let limited = line.limits().is_some();
        self.took(seats, limited);
    }

    fn took(&mut self, seats: u32, limited: bool) {
        self.in_use += seats;
        if limited {
            self.limited += seats;
        }
    }

    pub(super) fn enqueue(&mut self, level: &Arc<Level>, queue: u32, ticket: u64, seats: u32) -> oneshot::Receiver<()> {
        self.waiting += 1;
        self.line(level).enqueue(queue, ticket, seats)
    }

    /// Who would be let through next, if there were seats: exempt ones, then of the level that has least of its part.
    pub(super) fn turn(&self) -> Option<Turn> {
        if self.waiting == 0 {
            return None;
        }
        let turns = self.lines.iter().enumerate().filter_map(|(index, line)| {
            let next = line.next()?;
            self.may_start(index, next.seats).then_some((line.load(), Turn { line: index, next }))
        });
        turns.min_by_key(|(load, _)| *load).map(|(_, turn)| turn)
    }

    /// Lets whoever's turn it is through.
    pub(super) fn serve(&mut self, turn: Turn) {
        let line = &mut self.lines[turn.line];
        self.waiting -= 1;
        let limited = line.limits().is_some();
        line.serve(turn.next);
        self.took(turn.next.seats, limited);
    }

    /// Takes out somebody who waits no longer; whether it still did.
    pub(super) fn withdraw(&mut self, level: &Arc<Level>, queue: u32, ticket: u64) -> bool {
        let did = self.line(level).withdraw(queue, ticket);
        if did {
            self.waiting -= 1;
        }
        did
    }

    /// Takes seats back.
    pub(super) fn finish(&mut self, level: &Arc<Level>, queue: Option<u32>, seats: u32, took: Duration) {
        let line = self.line(level);
        line.finish(queue, seats, took);
        let limited = line.limits().is_some();
        self.in_use = self.in_use.saturating_sub(seats);
        if limited {
            self.limited = self.limited.saturating_sub(seats);
        }
    }
}
