//! What a plain YAML scalar stands for, by the rules of YAML 1.1 as `go-yaml` 2 has them.

use serde_json::Value;

use crate::codec::json::go_float;

/// A scalar that is not quoted, resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer beyond `i64`, or a number with a fraction or exponent.
    Float(f64),
    Text,
}

/// What a scalar written without quotes stands for.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' | b'+' | b'-' | b'0'..=b'9' => number(text).unwrap_or(Scalar::Text),
        _ => Scalar::Text,
    }
}

fn number(text: &str) -> Option<Scalar> {
    // Separators in numbers are dropped wherever they stand, but not in one that begins with a point.
    let plain = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    if !text.starts_with('.')
        && let Some(integer) = integer(&plain)
    {
        return Some(i64::try_from(integer).map_or(Scalar::Float(integer as f64), Scalar::Integer));
    }
    is_float(&plain).then(|| Scalar::Float(plain.parse().unwrap_or(f64::NAN)))
}

/// An integer with an optional base: `0x1f`, `0o17` or `017`, `0b11`; within the ranges of `i64` and `u64`.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    (value >= i128::from(i64::MIN)).then_some(value)
}

/// Whether a text is `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

impl Scalar {
    /// The JSON value; a number without fraction becomes an integer, as it does on the way through JSON. `Err` gives what JSON
    /// has no number for.
    pub(super) fn into_value(self, text: &str) -> Result<Value, &'static str> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Integer(value) => value.into(),
            Self::Float(value) if value.is_nan() => return Err("NaN"),
            Self::Float(value) if value.is_infinite() => return Err(if value < 0.0 { "-Inf" } else { "+Inf" }),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 9.2e18 => (value as i64).into(),
            Self::Float(value) => value.into(),
            Self::Text => text.into(),
        })
    }

    /// The text as a key of a JSON object, and as Go prints it in an error; `None` for null, which cannot be a key.
    pub(super) fn into_key(self, text: &str) -> Option<(String, String)> {
        let same = |text: String| Some((text.clone(), text));
        match self {
            Self::Null => None,
            Self::Bool(value) => same(value.to_string()),
            Self::Integer(value) => same(value.to_string()),
            Self::Float(value) => same(go_float(f64::from(value as f32))),
            Self::Text => Some((text.to_owned(), atoll_api::field::go_quote(text))),
        }
    }
}
