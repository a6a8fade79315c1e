//! Numbers between which a cost or a size lies.

/// The least and the most that something costs, or how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostRange {
    /// At least this.
    pub min: u64,
    /// At most this.
    pub max: u64,
}

/// A number times a factor, rounded up.
pub(super) fn scaled(number: u64, factor: f64) -> u64 {
    // Conversion from floating point ends at the largest number by itself.
    (number as f64 * factor).ceil() as u64
}

// === impl CostRange ===

impl CostRange {
    pub(super) const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    pub(super) const ZERO: Self = Self { min: 0, max: 0 };
    pub(super) const ONE: Self = Self { min: 1, max: 1 };

    pub(super) fn exactly(number: u64) -> Self {
        Self { min: number, max: number }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { min: scaled(self.min, factor), max: scaled(self.max, factor) }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}
