//! How much a process does at once, as an embedder says.

use std::time::Duration;

/// How many times what is free one logical cluster may have.
const PART: u32 = 3;

/// How many requests are served and wait at once, divided fairly between logical clusters, and within each by its flow
/// schemas and priority levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many seats there are. An ordinary request takes one, one that reads or writes much takes more. One logical
    /// cluster alone gets three quarters of them; the others stay free for whoever comes.
    pub seats: u32,
    /// How many requests may wait, of all clusters together; those of one cluster are refused when it has more than its
    /// part.
    pub waiting: usize,
    /// How long a request waits at most before it is refused.
    pub patience: Duration,
    /// How many watches and connections there may be; they take no seats once they have begun.
    pub long_running: u32,
}

impl Default for Settings {
    /// What suits the processors of this machine: more requests at once would only wait for them elsewhere, where
    /// nobody sees to it that they take turns.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self::of_seats((processors as u32).saturating_mul(96).clamp(192, 600))
    }
}

impl Settings {
    /// So many seats, and what goes with them.
    pub fn of_seats(seats: u32) -> Self {
        let seats = seats.max(1);
        let waiting = 8 * seats as usize;
        Self { seats, waiting, patience: Duration::from_secs(15), long_running: 200_000 }
    }

    /// The seats that one cluster can have when it is alone: what its priority levels divide.
    pub fn seats_of_one(&self) -> u32 {
        // The last seat it may take is the one with which it has its part of what was free before.
        let most = (u64::from(self.seats) * u64::from(PART)).div_ceil(u64::from(PART) + 1);
        u32::try_from(most).unwrap_or(self.seats).clamp(1, self.seats)
    }
}

/// How many one cluster may have when so many are free.
pub(super) fn part_of_one(free: u32) -> u64 {
    u64::from(free) * u64::from(PART)
}
