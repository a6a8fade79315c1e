//! When refused clients are to come again: later, the more of them there are, as in kube-apiserver.

/// The longest they are asked to wait, in seconds.
const LONGEST: u64 = 32;

/// The refusals of one priority level, second by second.
#[derive(Debug)]
pub(super) struct Refusals {
    /// The second of the last refusal, and how many there were in it.
    second: u64,
    count: u64,
    /// Refusals of the seconds before, newest last.
    history: Vec<(u64, u64)>,
    retry_after: u64,
    raised: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { second: 0, count: 0, history: Vec::new(), retry_after: 1, raised: 0 }
    }
}

impl Refusals {
    /// Notes a refusal in that second; after how many seconds the client may try again.
    pub(super) fn note(&mut self, second: u64) -> u64 {
        if second == self.second {
            self.count += 1;
            return self.retry_after;
        }
        self.history.push((self.second, self.count));
        (self.second, self.count) = (second, 1);
        let keep = (2 * self.retry_after).min(LONGEST);
        self.history.retain(|(then, _)| second.saturating_sub(*then) <= keep);
        self.adjust(second);
        self.retry_after
    }

    /// Doubles the wait when thrice as many were refused in it as it has seconds, and shortens it when few were.
    fn adjust(&mut self, second: u64) {
        let wait = self.retry_after;
        let recent = self.history.iter().filter(|(then, _)| second.saturating_sub(*then) <= wait);
        let refused: u64 = recent.map(|(_, count)| count).sum();
        if second.saturating_sub(self.raised) >= wait && refused >= 3 * wait {
            self.retry_after = (2 * wait).min(LONGEST);
            self.raised = second;
        } else if refused < wait && wait > 1 {
            self.retry_after -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(refusals: &mut Refusals, second: u64, count: u64) -> u64 {
        (0..count).map(|_| refusals.note(second)).last().unwrap_or_default()
    }

    #[test]
    fn clients_come_again_later_the_more_are_refused() {
        let mut refusals = Refusals::default();
        assert_eq!(refuse(&mut refusals, 100, 10), 1);
        assert_eq!(refuse(&mut refusals, 101, 10), 2);
        // Not raised again before the wait is over.
        assert_eq!(refuse(&mut refusals, 102, 10), 2);
        assert_eq!(refuse(&mut refusals, 103, 100), 4);
        for second in 104..200 {
            refuse(&mut refusals, second, 100);
        }
        assert_eq!(refuse(&mut refusals, 200, 1), LONGEST);
    }

    #[test]
    fn calm_shortens_the_wait() {
        let mut refusals = Refusals::default();
        refuse(&mut refusals, 100, 10);
        assert_eq!(refuse(&mut refusals, 101, 1), 2);
        assert_eq!(refuse(&mut refusals, 110, 1), 1);
        assert_eq!(refuse(&mut refusals, 120, 1), 1);
    }
}
