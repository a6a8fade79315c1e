//! Amounts of resources (`resource.Quantity`): `500m`, `1Gi`, `1e3`, with Kubernetes' canonical form.
//!
//! Exact to a billionth up to about 1.7e29; Kubernetes takes greater ones too, but prints them wrongly, so here they are refused.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

const NANOS: i128 = 1_000_000_000;
/// The greatest amount with a binary suffix: what is more counts as this.
const MAX_BINARY: i128 = (i64::MAX as i128) * NANOS;
/// The greatest power of ten that a suffix tells.
const EXA: i32 = 18;

/// Why a text is not a quantity, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not number and suffix at all.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number cannot be read, or is too great.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// There is no such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `12e6`.
    DecimalExponent,
    /// `12Mi`.
    Binary,
    /// `12M`.
    Decimal,
}

/// An amount, and how to write it. Two are equal if their amounts are.
#[derive(Debug, Clone)]
pub struct Quantity {
    nanos: i128,
    format: Format,
    /// The text it was read from, where Kubernetes keeps it although it is not canonical.
    text: Option<Box<str>>,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, format: Format::Decimal, text: None };

    /// So many whole units, written with decimal suffixes.
    pub fn from_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * NANOS, ..Self::ZERO }
    }

    /// So many thousandths, written with decimal suffixes.
    pub fn from_milli(milli: i64) -> Self {
        Self { nanos: i128::from(milli) * (NANOS / 1000), ..Self::ZERO }
    }

    /// So many bytes, written with binary suffixes.
    pub fn from_bytes(bytes: i64) -> Self {
        Self { format: Format::Binary, ..Self::from_units(bytes) }
    }

    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let parts = Parts::split(text)?;
        let (format, exponent) = suffix_meaning(parts.suffix)?;
        let magnitude = match format {
            Format::Binary => parts.times_power_of_two(exponent),
            _ => parts.times_power_of_ten(exponent).ok_or(QuantityError::Number)?,
        };
        let keeps_text = parts.is_kept(format, exponent);
        let format = if format == Format::Binary && (1..NANOS).contains(&magnitude) { Format::Decimal } else { format };
        let nanos = if parts.negative { -magnitude } else { magnitude };
        Ok(Self { nanos, format, text: keeps_text.then(|| text.into()) })
    }

    /// Reads a quantity in JSON: a string, or a number; null is nothing. Anything else is malformed.
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::Null => Ok(Self::ZERO),
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(QuantityError::Format),
        }
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whole units, fractions rounded away from zero; at most what fits.
    pub fn units(&self) -> i64 {
        self.scaled(NANOS)
    }

    /// Thousandths, finer fractions rounded away from zero; at most what fits.
    pub fn milli(&self) -> i64 {
        self.scaled(NANOS / 1000)
    }

    /// The whole units, if there is no fraction and they fit.
    pub fn as_integer(&self) -> Option<i64> {
        if self.nanos % NANOS == 0 { i64::try_from(self.nanos / NANOS).ok() } else { None }
    }

    /// The amount as a floating-point number, rounded.
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    /// The sum, written as this one is unless this is nothing; saturates.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format, text: None }
    }

    /// The difference, written as this one is unless this is nothing; saturates.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_sub(other.nanos), format, text: None }
    }

    fn scaled(&self, unit: i128) -> i64 {
        let (whole, rest) = (self.nanos / unit, self.nanos % unit);
        let rounded = whole + rest.signum();
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether the binary form shows it: a whole number, not between -1024 and 1024.
    fn is_shown_binary(&self) -> bool {
        self.format == Format::Binary
            && self.nanos % NANOS == 0
            && self.nanos.unsigned_abs() >= 1024 * NANOS.unsigned_abs()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.is_shown_binary() {
            let (mut amount, mut power) = (self.nanos / NANOS, 0);
            while amount % 1024 == 0 && power < 6 {
                (amount, power) = (amount / 1024, power + 1);
            }
            return write!(f, "{amount}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
        }
        let greatest = if self.format == Format::DecimalExponent { i32::MAX } else { EXA };
        let (mut amount, mut exponent) = (self.nanos, -9);
        while amount % 1000 == 0 && exponent < greatest {
            (amount, exponent) = (amount / 1000, exponent + 3);
        }
        match (self.format, exponent) {
            (_, 0) => write!(f, "{amount}"),
            (Format::DecimalExponent, _) => write!(f, "{amount}e{exponent}"),
            _ => {
                let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
                write!(f, "{amount}{}", suffixes[usize::try_from(exponent / 3 + 3).unwrap_or_default().min(9)])
            }
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// What a suffix says: how to write the quantity, and the power of ten or two.
fn suffix_meaning(suffix: &str) -> Result<(Format, i32), QuantityError> {
    let decimal =
        [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    let binary = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
    if let Some((_, power)) = decimal.into_iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Decimal, power));
    }
    if let Some((_, power)) = binary.into_iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Binary, power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent: i64 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    // Far out of range either way; kept small so that sums of exponents stay in range.
    let exponent = exponent.clamp(-1_000_000_000, 1_000_000_000) as i32;
    Ok((Format::DecimalExponent, exponent))
}

/// A quantity's text taken apart.
struct Parts<'a> {
    negative: bool,
    /// The digits before the point, without leading zeros; `0` if there are none.
    whole: &'a str,
    /// The digits after the point.
    fraction: &'a str,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let number = unsigned.trim_start_matches('0');
        let (whole, rest) = number.split_at(digits(number));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        let letters = suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
        let exponent = letters.strip_prefix(['+', '-']).unwrap_or(letters);
        if !exponent.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        // Like Kubernetes: no digit at all is fine after a sign or before a suffix, and counts as zero, but for a lone point.
        if whole.is_empty() && fraction.is_empty() && !unsigned.starts_with('0') && rest.starts_with('.') {
            return Err(QuantityError::Number);
        }
        let whole = if whole.is_empty() { "0" } else { whole };
        Ok(Self { negative: text.starts_with('-'), whole, fraction, suffix })
    }

    /// The amount in billionths, rounded up, for a decimal suffix; `None` if it is too great.
    fn times_power_of_ten(&self, exponent: i32) -> Option<i128> {
        let digits = [self.whole, self.fraction].concat();
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(0);
        }
        let power = i64::from(exponent) + 9 - i64::try_from(self.fraction.len()).ok()?;
        if let Ok(power) = u32::try_from(power) {
            return digits.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(power)?);
        }
        let kept = digits.len().saturating_sub(usize::try_from(-power).ok()?);
        let (kept, dropped) = digits.split_at(kept);
        let floor = if kept.is_empty() { 0 } else { kept.parse::<i128>().ok()? };
        floor.checked_add(i128::from(dropped.bytes().any(|digit| digit != b'0')))
    }

    /// The amount in billionths, rounded up, for a binary suffix; at most the greatest such amount.
    fn times_power_of_two(&self, exponent: i32) -> i128 {
        let factor = NANOS << exponent;
        // From the last digit to the first, so that each step divides by ten once.
        let (mut fraction, mut inexact) = (0, false);
        for digit in self.fraction.bytes().rev() {
            let sum = i128::from(digit - b'0') * factor + fraction;
            (fraction, inexact) = (sum / 10, inexact || sum % 10 != 0);
        }
        let whole = self.whole.parse::<i128>().ok().and_then(|whole| whole.checked_mul(factor));
        let amount = whole.and_then(|whole| whole.checked_add(fraction + i128::from(inexact)));
        amount.map_or(MAX_BINARY, |amount| amount.min(MAX_BINARY))
    }

    /// Whether Kubernetes keeps the text although it may not be canonical: its fast path does, where a number is small.
    fn is_kept(&self, format: Format, exponent: i32) -> bool {
        let digits = [self.whole, self.fraction].concat();
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let scale = i64::from(exponent) - i64::try_from(self.fraction.len()).unwrap_or(i64::MAX);
        match format {
            Format::Binary => {
                let small = count + i64::from(exponent * 3 / 10) < 15;
                // The last three bits decide, as Kubernetes has it.
                let odd = || self.whole.parse::<u64>().is_ok_and(|whole| whole & 7 != 0);
                small && self.fraction.is_empty() && odd()
            }
            _ => count <= 18 && scale >= -9 && scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, canonical: &str) {
        assert_eq!(Quantity::parse(text).expect(text).to_string(), canonical, "{text}");
    }

    #[test]
    fn quantities_print_as_kubernetes_prints_them() {
        for (text, canonical) in [
            ("0", "0"),
            ("000", "0"),
            ("0Gi", "0"),
            ("-0", "0"),
            ("0.0", "0"),
            ("0e5", "0"),
            ("1", "1"),
            ("+5", "+5"),
            ("-5", "-5"),
            ("005", "005"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1000000m", "1k"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1."),
            ("1.5", "1500m"),
            ("1.250", "1.250"),
            ("1.2500", "1250m"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("1.1m", "1100u"),
            ("0.0000000001", "1n"),
            ("1.0000000001", "1000000001n"),
            ("-0.0000000001", "-1n"),
            ("1Ki", "1Ki"),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("8Ki", "8Ki"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("0.1Ki", "102400m"),
            ("1.1Ki", "1126400m"),
            ("1000Ki", "1000Ki"),
            ("100Ei", "9223372036854775807"),
            ("99999999999999999999999999999999999999999Ki", "9223372036854775807"),
            ("0.0001Ki", "102400u"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("12E6", "12E6"),
            ("1E", "1E"),
            ("1000E", "1000E"),
            ("1e-3", "1e-3"),
            ("5e-10", "1e-9"),
            ("1e0", "1e0"),
            ("123456789012345678901", "123456789012345678901"),
            ("1e20", "100e18"),
            ("1e-99999999999999", "1e-9"),
        ] {
            check(text, canonical);
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        let format = ["", " 1", "1 ", "a", "1x", "1.5.5", "1K i", "1e1.5", "1_000", "0x10", "é"];
        let number = [".", "1e40", "999999999999999999999999999999999999999999"];
        let suffix = ["1K", "--1", "1mi", "1e", "1ee3", "1e99999999999999999999", "1Zi"];
        for text in format {
            assert!(matches!(Quantity::parse(text), Err(QuantityError::Format)), "{text}");
        }
        for text in number {
            assert_eq!(Quantity::parse(text), Err(QuantityError::Number), "{text}");
        }
        for text in suffix {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        let long = format!("0.{}1", "0".repeat(100_000));
        assert_eq!(Quantity::parse(&long).expect("rounded up").to_string(), "1n");
        assert_eq!(Quantity::parse(&format!("{long}Ki")).expect("rounded up").to_string(), "1n");
    }

    #[test]
    fn quantities_compare_and_add_by_amount() {
        let quantity = |text: &str| Quantity::parse(text).expect(text);
        assert_eq!(quantity("1000m"), quantity("1"));
        assert!(quantity("1Ki") > quantity("1k") && quantity("-1") < quantity("0"));
        assert_eq!(quantity("1Gi").plus(&quantity("1Gi")).to_string(), "2Gi");
        assert_eq!(quantity("0").plus(&quantity("1Gi")).to_string(), "1Gi");
        assert_eq!(quantity("1").minus(&quantity("250m")).to_string(), "750m");
        assert_eq!((quantity("1500m").units(), quantity("-1500m").units(), quantity("0.0001").milli()), (2, -2, 1));
        assert_eq!((quantity("1Ki").as_integer(), quantity("1.5").as_integer()), (Some(1024), None));
        assert_eq!(Quantity::from_value(&serde_json::json!(5)).expect("a number").to_string(), "5");
        assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
        assert_eq!(Quantity::from_bytes(1 << 30).to_string(), "1Gi");
    }
}
