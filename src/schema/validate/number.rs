//! Checks of numbers: range of the type and format, multiples, minimum and maximum.

use serde_json::Number;

use super::outcome::{Here, Outcome};
use super::walk::{Types, Walk};
use crate::schema::{Schema, SchemaType, ValueRules, shown};

/// A number as Go decodes it: an integer of 64 bits if it is written as one, else a float.
#[derive(Clone, Copy)]
enum Go {
    Integer(i64),
    Float(f64),
}

/// The range that the type and format of a schema ask for.
#[derive(Clone, Copy)]
enum Range<'a> {
    Integer { format: Option<&'a str> },
    Float,
    Any,
}

impl Walk<'_> {
    pub(super) fn check_number(
        &mut self,
        schema: &Schema,
        types: Types,
        number: &Number,
        here: &Here<'_>,
        outcome: &mut Outcome,
    ) {
        let format = schema.format.as_deref();
        let range = match types.only() {
            Some(SchemaType::Integer) => Range::Integer { format: format.filter(|f| matches!(*f, "int32" | "int64")) },
            Some(SchemaType::Number) if format == Some("float") => Range::Float,
            _ => Range::Any,
        };
        let value = match number.as_i64() {
            Some(integer) => Go::Integer(integer),
            None => Go::Float(number.as_f64().unwrap_or_default()),
        };
        self.check_range(range, value, "Checked", here, outcome);
        if let Some(rules) = schema.rules.as_deref() {
            self.check_bounds(rules, range, value, here, outcome);
        }
        outcome.matches += 2;
    }

    /// What a schema asks for must fit the type too, or nothing does (kube-openapi, numberValidator).
    fn check_range(&mut self, range: Range<'_>, value: Go, what: &str, here: &Here<'_>, outcome: &mut Outcome) {
        if range.holds(value) {
            return;
        }
        let kind = range.describe();
        self.composite(outcome, here, |name| format!("{what} value must be of type {kind} in {name}"));
    }

    fn check_bounds(
        &mut self,
        rules: &ValueRules,
        range: Range<'_>,
        value: Go,
        here: &Here<'_>,
        outcome: &mut Outcome,
    ) {
        if let Some(factor) = rules.multiple_of {
            self.check_range(range, Go::Float(factor), "MultipleOf", here, outcome);
            self.check_multiple(range, value, factor, here, outcome);
        }
        if let Some(least) = rules.minimum {
            self.check_range(range, Go::Float(least), "Minimum boundary", here, outcome);
            let limit = value.comparable(range, least);
            if value.is_less(limit) || (rules.exclusive_minimum && limit.is_same(value)) {
                let words = if rules.exclusive_minimum { "greater than" } else { "greater than or equal to" };
                let sentence = |name: &str| format!("{name} in body should be {words} {}", limit.show());
                self.invalid(outcome, here, value.show(), sentence);
            }
        }
        if let Some(most) = rules.maximum {
            self.check_range(range, Go::Float(most), "Maximum boundary", here, outcome);
            let limit = value.comparable(range, most);
            if limit.is_less(value) || (rules.exclusive_maximum && limit.is_same(value)) {
                let words = if rules.exclusive_maximum { "less than" } else { "less than or equal to" };
                let sentence = |name: &str| format!("{name} in body should be {words} {}", limit.show());
                self.invalid(outcome, here, value.show(), sentence);
            }
        }
    }

    fn check_multiple(&mut self, range: Range<'_>, value: Go, factor: f64, here: &Here<'_>, outcome: &mut Outcome) {
        let factor = value.comparable(range, factor);
        let (is_positive, is_multiple) = match (value, factor) {
            (Go::Integer(value), Go::Integer(factor)) => (factor > 0, factor > 0 && value % factor == 0),
            (value, factor) => {
                let (value, factor) = (value.as_float(), factor.as_float());
                let quotient = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
                (factor > 0.0, factor > 0.0 && is_whole(quotient))
            }
        };
        if !is_positive {
            let sentence =
                |name: &str| format!("factor MultipleOf declared for {name} must be positive: {}", factor.show());
            self.invalid(outcome, here, factor.show(), sentence);
        } else if !is_multiple {
            let sentence = |name: &str| format!("{name} in body should be a multiple of {}", factor.show());
            self.invalid(outcome, here, value.show(), sentence);
        }
    }
}

/// Whether a float is, but for a tiny error, an integer that floats can tell apart from its neighbours.
pub(super) fn is_whole(float: f64) -> bool {
    const LIMIT: f64 = 9_007_199_254_740_991.0;
    const TOLERANCE: f64 = 1e-9;
    let rounded = float.round();
    float.is_finite()
        && float.abs() <= LIMIT
        && (float == rounded
            || (rounded != 0.0 && (float - rounded).abs() < TOLERANCE * float.abs().max(rounded.abs())))
}

/// A float as Go turns it into an integer: what does not fit becomes the least of all.
fn truncated(float: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&float) { float as i64 } else { i64::MIN }
}

// === impl Go ===

impl Go {
    /// A bound of the schema, as it is compared with `self`. With an integer it is compared as one, its fraction cut off,
    /// if it fits the type (kube-openapi, MinimumNativeType): 0 passes for a number of at least 0.5.
    fn comparable(self, range: Range<'_>, bound: f64) -> Self {
        match self {
            Self::Integer(_) if range.holds(Self::Float(bound)) => Self::Integer(truncated(bound)),
            _ => Self::Float(bound),
        }
    }

    fn as_float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    fn is_less(self, other: Self) -> bool {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a < b,
            (a, b) => a.as_float() < b.as_float(),
        }
    }

    fn is_same(self, other: Self) -> bool {
        !self.is_less(other) && !other.is_less(self)
    }

    fn show(self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Float(float) => shown::float(float),
        }
    }
}

// === impl Range ===

impl Range<'_> {
    fn holds(self, value: Go) -> bool {
        let integer = match value {
            Go::Integer(integer) => Some(integer),
            // Written out in full, a float has to read as an integer.
            Go::Float(float) => format!("{float}").parse().ok(),
        };
        match self {
            Self::Integer { format: Some("int32") } => integer.is_some_and(|integer| i32::try_from(integer).is_ok()),
            Self::Integer { .. } => integer.is_some(),
            Self::Float => value.as_float().abs() <= f64::from(f32::MAX),
            Self::Any => true,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Integer { format: Some(format) } => format!("integer with format {format}"),
            Self::Integer { format: None } => "integer (default format)".to_owned(),
            Self::Float => "number with format float".to_owned(),
            Self::Any => "number".to_owned(),
        }
    }
}
