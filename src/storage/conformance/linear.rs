//! Whether what several clients saw of one value could have come from one copy of it, changed by one operation after the
//! other, each at some moment between its call and its answer: linearizability.
//!
//! It is the search of Wing and Gong, with Lowe's memory of what was tried: whoever may come first comes first, and what leads to
//! operations done and a value that were met before is not tried again. Values are told apart by numbers, so that histories in
//! which every write has a number of its own are checked sharply. The check is of one value; a store is linearizable if each
//! of its values is.

use std::collections::{BTreeSet, HashSet};

/// How many states the search may meet before it gives up.
const PATIENCE: usize = 4_000_000;

/// One call of one client, and what came of it. Moments are numbers of any clock that all clients share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// When it was called.
    pub called: u64,
    /// When it was answered; nothing is known of what was not.
    pub answered: u64,
    /// What was done.
    pub deed: Deed,
    /// What came of it.
    pub outcome: Outcome,
    /// The version that the answer names: of what was read or written.
    pub version: Option<u64>,
}

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To read; this was found.
    Read(Option<u64>),
    /// To put a value where none is.
    Create(u64),
    /// To replace the value that was seen by another, or to delete it.
    Swap {
        /// The value as it was seen.
        from: u64,
        /// The value to put; none if it is to be deleted.
        to: Option<u64>,
    },
    /// To replace whatever value is there.
    Replace(u64),
    /// To delete whatever value is there.
    Delete,
}

/// What came of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused, since the value was not such that it could be done.
    Refused,
    /// Nobody knows whether it was done, or will be.
    Unknown,
}

/// What the check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none.
    Violated {
        /// The operations of the longest order that explains its part.
        explained: usize,
        /// One that follows in no such order, by its place in the history.
        stuck: usize,
    },
    /// A later answer named an earlier version.
    Backwards {
        /// The operation that was answered first.
        first: usize,
        /// The one that was called after that, and named an older version.
        then: usize,
    },
    /// The search was given up: too much was under way at once.
    Undecided,
}

/// Checks the history of one value, which was absent at first.
pub fn check(history: &[Operation]) -> Verdict {
    if let Some((first, then)) = find_backwards(history) {
        return Verdict::Backwards { first, then };
    }
    Search::new(history).run()
}

/// Two operations, one after the other, whose versions are the other way round.
fn find_backwards(history: &[Operation]) -> Option<(usize, usize)> {
    let known = |index: &usize| history[*index].outcome == Outcome::Done && history[*index].version.is_some();
    let mut by_answer: Vec<usize> = (0..history.len()).filter(known).collect();
    let mut by_call = by_answer.clone();
    by_answer.sort_by_key(|index| history[*index].answered);
    by_call.sort_by_key(|index| history[*index].called);
    let mut answered = by_answer.into_iter().peekable();
    let mut newest: Option<usize> = None;
    for then in by_call {
        while let Some(before) = answered.next_if(|index| history[*index].answered < history[then].called) {
            newest = newest.filter(|newest| history[*newest].version >= history[before].version).or(Some(before));
        }
        let Some(first) = newest else { continue };
        let fresh = match history[then].deed {
            Deed::Read(_) => history[then].version >= history[first].version,
            _ => history[then].version > history[first].version,
        };
        if !fresh {
            return Some((first, then));
        }
    }
    None
}

/// Which operations are done, and the value that they left.
type Place = (Box<[u64]>, Option<u64>);

/// The search for an order.
struct Search<'h> {
    history: &'h [Operation],
    /// The operations by the moment of their call.
    by_call: Vec<usize>,
    /// The order so far: operations, each with the value before it.
    chosen: Vec<(usize, Option<u64>)>,
    done: Box<[u64]>,
    value: Option<u64>,
    /// How many operations with a known outcome are not done.
    missing: usize,
    /// The answers of those, and which operation they are of.
    open: BTreeSet<(u64, usize)>,
    met: HashSet<Place>,
    /// The longest order, and what was stuck after it.
    best: (usize, usize),
}

impl<'h> Search<'h> {
    fn new(history: &'h [Operation]) -> Self {
        let mut by_call: Vec<usize> = (0..history.len()).collect();
        by_call.sort_by_key(|index| history[*index].called);
        let known = |index: &usize| history[*index].outcome != Outcome::Unknown;
        let open: BTreeSet<(u64, usize)> =
            by_call.iter().copied().filter(known).map(|index| (history[index].answered, index)).collect();
        Self {
            history,
            by_call,
            chosen: Vec::new(),
            done: vec![0; history.len().div_ceil(64)].into(),
            value: None,
            missing: open.len(),
            open,
            met: HashSet::new(),
            best: (0, 0),
        }
    }

    fn run(mut self) -> Verdict {
        // Where to go on among the operations by their call.
        let mut from = 0;
        loop {
            if self.missing == 0 {
                return Verdict::Linearizable;
            }
            if self.met.len() > PATIENCE {
                return Verdict::Undecided;
            }
            if let Some(at) = self.next(from) {
                self.choose(self.by_call[at]);
                from = 0;
                continue;
            }
            let Some(index) = self.undo() else {
                return Verdict::Violated { explained: self.best.0, stuck: self.best.1 };
            };
            // Its place among the others is found again by its call.
            from = self.by_call.partition_point(|other| self.history[*other].called < self.history[index].called);
            from += self.by_call[from..].iter().position(|other| *other == index).unwrap_or_default() + 1;
        }
    }

    /// The next operation that may come now and leads to what was not met: its place among those by call.
    fn next(&mut self, from: usize) -> Option<usize> {
        // Who was called after another was answered comes after that one.
        let first_answer = self.open.first().map_or(u64::MAX, |(answered, _)| *answered);
        for at in from..self.by_call.len() {
            let index = self.by_call[at];
            let operation = &self.history[index];
            if operation.called > first_answer {
                break;
            }
            if self.is_done(index) {
                continue;
            }
            let Some(value) = step(self.value, operation) else { continue };
            self.done[index / 64] |= 1 << (index % 64);
            let new = self.met.insert((self.done.clone(), value));
            self.done[index / 64] &= !(1 << (index % 64));
            if new {
                return Some(at);
            }
        }
        None
    }

    fn choose(&mut self, index: usize) {
        let operation = &self.history[index];
        self.chosen.push((index, self.value));
        self.done[index / 64] |= 1 << (index % 64);
        self.value = step(self.value, operation).unwrap_or(self.value);
        if operation.outcome != Outcome::Unknown {
            self.open.remove(&(operation.answered, index));
            self.missing -= 1;
        }
        if self.chosen.len() > self.best.0
            && let Some((_, stuck)) = self.open.first()
        {
            self.best = (self.chosen.len(), *stuck);
        }
    }

    fn undo(&mut self) -> Option<usize> {
        let (index, before) = self.chosen.pop()?;
        self.done[index / 64] &= !(1 << (index % 64));
        self.value = before;
        if self.history[index].outcome != Outcome::Unknown {
            self.open.insert((self.history[index].answered, index));
            self.missing += 1;
        }
        Some(index)
    }

    fn is_done(&self, index: usize) -> bool {
        self.done[index / 64] & (1 << (index % 64)) != 0
    }
}

/// The value after an operation, if it can come at this value. What is unknown and would not have been done need not come.
fn step(value: Option<u64>, operation: &Operation) -> Option<Option<u64>> {
    let (possible, after) = match operation.deed {
        Deed::Read(found) => return (found == value).then_some(value),
        Deed::Create(to) => (value.is_none(), Some(to)),
        Deed::Swap { from, to } => (value == Some(from), to),
        Deed::Replace(to) => (value.is_some(), Some(to)),
        Deed::Delete => (value.is_some(), None),
    };
    match operation.outcome {
        Outcome::Done | Outcome::Unknown => possible.then_some(after),
        Outcome::Refused => (!possible).then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    /// An operation from its text: `called-answered deed [= version]`, where the deed is `r1`, `r-`, `c1`, `s1>2`, `s1>-`, `w1` or `d`, with `!`
    /// behind it when it was refused and `?` when nobody knows.
    fn parse(text: &str) -> Operation {
        let (text, version) = match text.split_once('=') {
            Some((text, version)) => (text.trim(), Some(version.trim().parse().unwrap())),
            None => (text, None),
        };
        let (times, deed) = text.split_once(' ').unwrap();
        let (called, answered) = times.split_once('-').unwrap();
        let (deed, outcome) = match deed.strip_suffix(['!', '?']) {
            Some(rest) if deed.ends_with('!') => (rest, Outcome::Refused),
            Some(rest) => (rest, Outcome::Unknown),
            None => (deed, Outcome::Done),
        };
        let number = |text: &str| text.parse::<u64>().unwrap();
        let deed = match deed.split_at(1) {
            ("r", found) => Deed::Read(found.parse().ok()),
            ("c", to) => Deed::Create(number(to)),
            ("s", both) => {
                let (from, to) = both.split_once('>').unwrap();
                Deed::Swap { from: number(from), to: to.parse().ok() }
            }
            ("w", to) => Deed::Replace(number(to)),
            _ => Deed::Delete,
        };
        Operation { called: number(called), answered: number(answered), deed, outcome, version }
    }

    fn judge(history: &[&str]) -> Verdict {
        check(&history.iter().map(|text| parse(text)).collect::<Vec<_>>())
    }

    #[test]
    fn what_one_copy_could_have_done_is_accepted() {
        let histories: &[&[&str]] = &[
            &[],
            &["0-1 c1", "2-3 r1", "4-5 s1>2", "6-7 r2", "8-9 d", "10-11 r-"],
            // A read beside a write sees the value before it or after it.
            &["0-1 c1", "2-9 s1>2", "3-4 r1", "5-6 r2"],
            // Of two at once either may come first.
            &["0-9 c1", "0-9 c2!", "10-11 r1"],
            &["0-1 c1", "2-9 s1>-", "2-9 s1>3!", "10-11 r-", "12-13 c4"],
            &["0-1 c1", "2-9 s1>2!", "2-9 s1>3", "10-11 r3"],
            // What nobody knows of happened, late, or did not.
            &["0-1 c1", "2-3 s1>2?", "4-5 r1", "6-7 r2", "8-9 r2"],
            &["0-1 c1", "2-3 s1>2?", "4-5 r1", "6-7 s1>3", "8-9 r3"],
            &["0-1 c1?", "2-3 c2!", "4-5 r1"],
            &["0-1 d!", "2-3 w1!", "4-5 c1", "6-7 w2", "8-9 d", "10-11 c3=9", "12-13 r3=9"],
            // The same moment is no order.
            &["0-5 c1", "5-6 r-"],
        ];
        for history in histories {
            assert_eq!(judge(history), Verdict::Linearizable, "{history:?}");
        }
    }

    #[test]
    fn what_no_single_copy_could_have_done_is_rejected() {
        let histories: &[(&str, &[&str])] = &[
            ("a stale read", &["0-1 c1", "2-3 s1>2", "4-5 r1"]),
            ("a lost write", &["0-1 c1", "2-3 w2", "4-5 w3", "6-7 r2"]),
            ("an acknowledged creation that is gone", &["0-1 c1", "2-3 r-"]),
            ("two who created", &["0-9 c1", "0-9 c2"]),
            ("two who replaced the same", &["0-1 c1", "2-9 s1>2", "2-9 s1>3"]),
            ("one who deleted what another replaced", &["0-1 c1", "2-9 s1>-", "2-9 s1>3"]),
            ("a value from nowhere", &["0-1 c1", "2-3 r7"]),
            ("a deletion undone", &["0-1 c1", "2-3 d", "4-5 r1"]),
            ("a refusal without cause", &["0-1 c1", "2-3 s1>2!"]),
            ("a creation refused where nothing is", &["0-1 c1!"]),
            ("two readers who disagree on the order", &["0-1 c1", "2-9 w2", "3-4 r2", "5-6 r1"]),
            ("the unknown, seen and unseen", &["0-1 c1", "2-3 s1>2?", "4-5 r2", "6-7 r1"]),
            ("the unknown, before it was called", &["0-1 c1", "2-3 r2", "4-5 s1>2?"]),
            ("the unknown, done twice", &["0-1 c1", "2-3 w2?", "4-5 r2", "6-7 w1", "8-9 r2"]),
        ];
        for (what, history) in histories {
            assert!(matches!(judge(history), Verdict::Violated { .. }), "{what}");
        }
    }

    #[test]
    fn a_version_that_goes_backwards_is_rejected() {
        assert_eq!(judge(&["0-1 c1=5", "2-3 r1=4"]), Verdict::Backwards { first: 0, then: 1 });
        assert_eq!(judge(&["0-1 c1=5", "2-3 s1>2=5"]), Verdict::Backwards { first: 0, then: 1 });
        assert_eq!(judge(&["0-1 c1=5", "2-3 r1=5", "4-5 s1>2=6"]), Verdict::Linearizable);
        // Side by side there is no before.
        assert_eq!(judge(&["0-1 c1=5", "2-6 s1>2=8", "3-7 s2>3=7"]), Verdict::Linearizable);
    }

    #[test]
    fn the_stuck_operation_is_named() {
        assert_eq!(judge(&["0-1 c1", "2-3 r1", "4-5 r9"]), Verdict::Violated { explained: 2, stuck: 2 });
    }

    /// A history of some clients over one copy, whose operations happen at a random moment between call and answer.
    fn random_history(random: &mut Random, clients: u64, length: usize) -> Vec<Operation> {
        let mut value = None;
        let mut free_at = vec![0u64; clients as usize];
        let mut history = Vec::new();
        for number in 0..length as u64 {
            // The moment at which it happens grows from one to the next; calls and answers reach out from it.
            let moment = number * 10;
            let Some(client) = (0..clients as usize).find(|client| free_at[*client] < moment) else { continue };
            let called = free_at[client].max(moment.saturating_sub(random.below(40)));
            let answered = moment + 1 + random.below(40);
            free_at[client] = answered + 1;
            let deed = match random.below(6) {
                0 => Deed::Create(number),
                1 => Deed::Swap { from: value.unwrap_or(9999), to: Some(number) },
                2 => Deed::Swap { from: 9999, to: Some(number) },
                3 => Deed::Replace(number),
                4 if random.below(3) == 0 => Deed::Delete,
                _ => Deed::Read(value),
            };
            let mut operation = Operation { called, answered, deed, outcome: Outcome::Done, version: None };
            match step(value, &operation) {
                Some(after) => value = after,
                None => operation.outcome = Outcome::Refused,
            }
            if random.below(40) == 0 && !matches!(deed, Deed::Read(_)) {
                operation.outcome = Outcome::Unknown;
            }
            history.push(operation);
        }
        history
    }

    #[test]
    fn random_histories_of_one_copy_are_accepted_and_soon() {
        let mut random = Random::new(3);
        for _ in 0..60 {
            let history = random_history(&mut random, 8, 300);
            assert_eq!(check(&history), Verdict::Linearizable, "{history:?}");
        }
    }

    #[test]
    fn a_random_history_with_one_wrong_read_is_rejected() {
        let mut random = Random::new(5);
        for _ in 0..40 {
            let mut history = random_history(&mut random, 4, 100);
            // Long after everything else, so that nothing excuses it: a value that was there and was replaced.
            let last = history.iter().map(|operation| operation.answered).max().unwrap();
            let at = |n: u64| Operation {
                called: last + 2 * n,
                answered: last + 2 * n + 1,
                deed: Deed::Replace(1_000 + n),
                outcome: Outcome::Done,
                version: None,
            };
            let read = |n: u64, found| Operation { deed: Deed::Read(Some(found)), ..at(n) };
            history.push(Operation { outcome: Outcome::Unknown, deed: Deed::Create(1_000), ..at(1) });
            history.extend([at(2), at(3), read(4, 1_002)]);
            assert!(matches!(check(&history), Verdict::Violated { .. }), "{history:?}");
        }
    }
}
