//! Formats of dates, times and durations.

/// `2006-01-02`.
pub(super) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0_u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
    };
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else { return false };
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return false,
    };
    bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-' && (1..=days).contains(&day)
}

/// `2006-01-02T15:04:05.123Z` or with an offset; what follows a second `t` is not looked at, as in Kubernetes.
pub(super) fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    match (parts.next(), parts.next()) {
        (Some(date), Some(time)) => is_date(date) && is_time(time),
        _ => false,
    }
}

fn is_time(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else { return false };
    let is_clock =
        clock.bytes().enumerate().all(|(at, b)| if matches!(at, 2 | 5) { b == b':' } else { b.is_ascii_digit() });
    if !is_clock || &clock[..2] > "23" || &clock[3..5] > "59" || &clock[6..] > "59" {
        return false;
    }
    // Any character may separate the fraction.
    let fraction = rest
        .chars()
        .next()
        .filter(|_| !is_zone(rest))
        .map_or(0, |c| c.len_utf8() + rest[c.len_utf8()..].bytes().take_while(u8::is_ascii_digit).count());
    let has_digits = rest[..fraction].ends_with(|c: char| c.is_ascii_digit()) && fraction > 1;
    (fraction == 0 || has_digits) && is_zone(&rest[fraction..])
}

fn is_zone(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_offset = bytes.len() == 6
        && matches!(bytes[0], b'+' | b'-')
        && bytes[3] == b':'
        && [1, 2, 4, 5].iter().all(|at| bytes[*at].is_ascii_digit());
    text == "z" || is_offset
}

/// A duration of Go (`1h30m`) or, less strictly, numbers with units in words (`2 days`).
pub(super) fn is_duration(text: &str) -> bool {
    is_go_duration(text) || is_duration_in_words(text)
}

fn is_go_duration(text: &str) -> bool {
    go_seconds(text).is_some()
}

/// The seconds of a duration as Go writes it: `1h30m`, `-1.5s`, `0`.
pub(super) fn go_seconds(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0.0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0_f64;
    while !rest.is_empty() {
        let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number = &rest[..length];
        if !number.bytes().any(|b| b.is_ascii_digit()) || number.matches('.').count() > 1 {
            return None;
        }
        rest = &rest[length..];
        let unit_length = rest.bytes().take_while(|b| !b.is_ascii_digit() && *b != b'.').count();
        let scale = match &rest[..unit_length] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        rest = &rest[unit_length..];
        nanoseconds += number.parse::<f64>().unwrap_or(f64::INFINITY) * scale;
    }
    // Durations are 64 bit wide.
    let seconds = nanoseconds / 1e9 * if text.starts_with('-') { -1.0 } else { 1.0 };
    (nanoseconds < i64::MAX as f64).then_some(seconds)
}

fn is_duration_in_words(text: &str) -> bool {
    let mut found = false;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after = rest[length..].trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        let unit_length = after.find(|c: char| !(c.is_ascii_alphabetic() || c == 'µ')).unwrap_or(after.len());
        if unit_length > 0 {
            if rest[..length].parse::<i64>().is_err() {
                return false;
            }
            found |= is_unit(&after[..unit_length].to_lowercase());
        }
        rest = &after[unit_length..];
    }
    found
}

fn is_unit(unit: &str) -> bool {
    const SHORT: [&str; 11] = ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"];
    const LONG: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    SHORT.contains(&unit) || LONG.iter().any(|long| unit.starts_with(long))
}
