//! Floating point numbers as Go reads and writes them.

/// Reads a number; infinity and not-a-number have names, in any case of letters. What does not fit is none.
pub(super) fn parse(text: &str) -> Option<f64> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number = match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" if unsigned.len() == text.len() => f64::NAN,
        "nan" => return None,
        lower => finite(lower)?,
    };
    Some(if is_negative { -number } else { number })
}

fn finite(text: &str) -> Option<f64> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !has_proper_underscores(text) {
        return None;
    }
    let digits = text.replace('_', "");
    let number = match digits.strip_prefix("0x") {
        Some(digits) => hexadecimal(digits)?,
        None => digits.parse().ok()?,
    };
    number.is_finite().then_some(number)
}

/// Underscores may stand between digits, and after the mark of a base.
fn has_proper_underscores(text: &str) -> bool {
    let (is_hexadecimal, rest) = match text.strip_prefix("0x") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut follows_digit = is_hexadecimal;
    let mut follows_underscore = false;
    for c in rest.chars() {
        let is_digit = c.is_ascii_digit() || (is_hexadecimal && c.is_ascii_hexdigit());
        if (c == '_' && !follows_digit) || (c != '_' && !is_digit && follows_underscore) {
            return false;
        }
        (follows_digit, follows_underscore) = (is_digit, c == '_');
    }
    !follows_underscore
}

/// Hexadecimal digits with a binary exponent: `1.8p3`.
fn hexadecimal(text: &str) -> Option<f64> {
    /// More digits do not change the number.
    const MAX_DIGITS: u32 = 15;
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut exponent: i32 = exponent.parse::<i32>().ok()?.clamp(-100_000, 100_000);
    let (mut value, mut used) = (0u64, 0);
    let places = whole.chars().map(|c| (c, 0)).chain(fraction.chars().map(|c| (c, 4)));
    for (digit, shift) in places {
        let digit = u64::from(digit.to_digit(16)?);
        if used < MAX_DIGITS {
            value = value << 4 | digit;
            exponent = exponent.saturating_sub(shift);
            used += u32::from(value > 0);
        } else {
            value |= u64::from(digit > 0);
            exponent = exponent.saturating_add(4 - shift);
        }
    }
    // In two steps, because a power of two may not fit although the product does.
    let half = exponent / 2;
    Some(value as f64 * 2f64.powi(half) * 2f64.powi(exponent - half))
}

/// A number as Go's `%g` writes it.
pub(crate) fn format_double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
