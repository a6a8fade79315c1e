//! Points and spans of time: reading, writing and calculating as Go does.
//!
//! There is no clock here; zones are those of the tz database, which is part of the program.

use jiff::tz::TimeZone;

use crate::fault::{Eval, EvalError};

pub(crate) const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;
/// A text longer than this is no span of time that anybody means.
const MAX_DURATION: usize = 1024;
/// The first second of the year 1 and the last of the year 9999.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A point in time, and the offset of the zone it was written in.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds in the second.
    pub nanos: u32,
    /// How far the zone is east of Greenwich, in seconds.
    pub offset: i32,
}

/// What a calendar and a clock show.
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    /// From 0.
    pub(crate) day_of_year: i64,
    /// From 0, which is Sunday.
    pub(crate) day_of_week: i64,
}

// === impl Timestamp ===

impl Timestamp {
    /// A point in time in UTC; an error outside of the years 1 to 9999.
    pub(crate) fn from_seconds(seconds: i64) -> Eval<Self> {
        Self { seconds, nanos: 0, offset: 0 }.checked()
    }

    fn checked(self) -> Eval<Self> {
        if RANGE.contains(&self.seconds) { Ok(self) } else { Err(EvalError::new("timestamp overflow")) }
    }

    /// Reads RFC 3339 as Go does; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let time = rest.strip_prefix('T')?;
        let (clock, rest) = time.split_at_checked(8)?;
        let (nanos, zone) = fraction(rest)?;
        let offset = match zone {
            "Z" => 0,
            zone => offset(zone)?,
        };
        Self::of(date, clock, nanos, offset)
    }

    /// Reads what the schema format `date-time` accepts: RFC 3339, or a local time, taken as UTC.
    pub(crate) fn parse_date_time(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { seconds: 0, nanos: 0, offset: 0 });
        }
        Self::parse(text).or_else(|| {
            let (date, rest) = text.split_at_checked(10)?;
            let (clock, rest) = rest.strip_prefix('T')?.split_at_checked(8)?;
            let (nanos, rest) = fraction(rest)?;
            if rest.is_empty() { Self::of(date, clock, nanos, 0) } else { None }
        })
    }

    /// Reads a day such as `2024-02-29`.
    pub(crate) fn parse_date(text: &str) -> Option<Self> {
        Self::of(text, "00:00:00", 0, 0)
    }

    fn of(date: &str, clock: &str, nanos: u32, offset: i32) -> Option<Self> {
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let is_valid = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        is_valid.then_some(())?;
        let local = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
        Some(Self { seconds: local - i64::from(offset), nanos, offset })
    }

    /// Whether Kubernetes takes the value into account at all.
    pub(crate) fn is_in_range(self) -> bool {
        RANGE.contains(&self.seconds)
    }

    pub(crate) fn is_zero(self) -> bool {
        self.seconds == *RANGE.start() && self.nanos == 0
    }

    pub(crate) fn instant(self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }

    pub(crate) fn plus(self, duration: i64) -> Eval<Self> {
        let nanos = i64::from(self.nanos) + duration.rem_euclid(NANOS);
        let seconds = self.seconds + duration.div_euclid(NANOS) + nanos / NANOS;
        Self { seconds, nanos: (nanos % NANOS) as u32, ..self }.checked()
    }

    /// The span from the other point in time to this one.
    pub(crate) fn since(self, other: Self) -> Eval<i64> {
        let seconds = (self.seconds - other.seconds).checked_mul(NANOS);
        let nanos = i64::from(self.nanos) - i64::from(other.nanos);
        seconds.and_then(|seconds| seconds.checked_add(nanos)).ok_or_else(|| EvalError::new("integer overflow"))
    }

    /// What calendar and clock show in the zone: `UTC`, a name of the tz database, or an offset such as `-07:00`.
    pub(crate) fn in_zone(self, zone: &str) -> Eval<Civil> {
        let offset = match zone.split_once(':') {
            Some((hours, minutes)) => zone_offset(zone, hours, minutes)?,
            None if matches!(zone, "" | "UTC") => 0,
            None => {
                let unknown = || EvalError::new(format!("unknown time zone {zone}"));
                let zone = TimeZone::get(zone).map_err(|_| unknown())?;
                let instant = jiff::Timestamp::from_second(self.seconds).map_err(|_| unknown())?;
                i64::from(zone.to_offset(instant).seconds())
            }
        };
        Ok(civil(self.seconds.saturating_add(offset)))
    }

    /// As RFC 3339 writes it, in the zone in which it was read.
    pub(crate) fn show(self) -> String {
        let local = civil(self.seconds + i64::from(self.offset));
        let Civil { year, month, day, hour, minute, second, .. } = local;
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if self.nanos > 0 {
            text.push_str(format!(".{:09}", self.nanos).trim_end_matches('0'));
        }
        match self.offset {
            0 => text.push('Z'),
            offset => {
                let sign = if offset < 0 { '-' } else { '+' };
                let minutes = offset.abs() / 60;
                text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
            }
        }
        text
    }
}

/// Reads numbers of fixed widths between separators.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Reads a fraction of a second, if there is one; gives what follows it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let digits = &rest[..length];
    if digits.is_empty() {
        return None;
    }
    let nanos = format!("{:0<9}", &digits[..length.min(9)]).parse().ok()?;
    Some((nanos, &rest[length..]))
}

fn offset(zone: &str) -> Option<i32> {
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) =
        zone[1..].split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 24 && minutes < 60).then(|| sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))
}

fn zone_offset(zone: &str, hours: &str, minutes: &str) -> Eval<i64> {
    let number = |text: &str| {
        text.parse::<i32>()
            .map(i64::from)
            .map_err(|_| EvalError::new(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    Ok(60 * if zone.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes })
}

/// The days from 1970 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn civil(seconds: i64) -> Civil {
    let (date, clock) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let shifted = date + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let march_day = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * march_day + 2) / 153;
    let day = march_day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil {
        year,
        month,
        day,
        hour: clock / 3600,
        minute: clock / 60 % 60,
        second: clock % 60,
        day_of_year: date - days(year, 1, 1),
        day_of_week: (date + 4).rem_euclid(7),
    }
}

/// Reads a span of time as Go does: `1h30m`, `-1.5s`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, after) = rest.split_at(digits(rest));
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_length = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let unit = duration_unit(unit)?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part = whole.checked_mul(unit)?.checked_add(fraction_of(fraction, unit))?;
        total = total.checked_add(part).filter(|total| *total <= 1 << 63)?;
        rest = after;
    }
    match (is_negative, i64::try_from(total)) {
        (false, Ok(total)) => Some(total),
        (true, Ok(total)) => Some(-total),
        (true, Err(_)) => Some(i64::MIN),
        (false, Err(_)) => None,
    }
}

fn duration_unit(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The nanoseconds in a decimal fraction of a unit; digits that do not count are ignored.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let digits = &digits[..digits.len().min(18)];
    let Ok(number) = digits.parse::<u64>() else { return 0 };
    (number as f64 * (unit as f64 / 10f64.powi(digits.len() as i32))) as u64
}

/// Reads what the schema format `duration` accepts: Go's notation, or numbers with the names of units up to weeks.
pub(crate) fn parse_loose_duration(text: &str) -> Option<i64> {
    if let Some(duration) = parse_duration(text) {
        return Some(duration);
    }
    if text.len() > MAX_DURATION {
        return None;
    }
    let mut total: i64 = 0;
    let mut found = false;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest[start..].split_at(digits);
        let unit_text = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let is_unit = |c: char| c == 'µ' || c.is_ascii_alphabetic();
        let length = unit_text.find(|c: char| !is_unit(c)).unwrap_or(unit_text.len());
        rest = &unit_text[length..];
        if length == 0 {
            continue;
        }
        let number: i64 = number.parse().ok()?;
        for unit in loose_units(&unit_text[..length].to_lowercase()) {
            found = true;
            total = total.wrapping_add(number.wrapping_mul(unit));
        }
    }
    found.then_some(total)
}

/// The units that a name stands for; more than one only in what upstream reads twice, too.
fn loose_units(name: &str) -> impl Iterator<Item = i64> + '_ {
    const UNITS: [(&[&str], i64); 8] = [
        (&["ns", "nano"], 1),
        (&["us", "µs", "micro"], 1_000),
        (&["ms", "milli"], 1_000_000),
        (&["s", "sec"], NANOS),
        (&["m", "min"], 60 * NANOS),
        (&["h", "hr", "hour"], 3600 * NANOS),
        (&["d", "day"], DAY * NANOS),
        (&["w", "wk", "week"], 7 * DAY * NANOS),
    ];
    UNITS.iter().flat_map(move |(names, unit)| {
        names.iter().enumerate().filter_map(move |(index, known)| {
            let is_last = index + 1 == names.len();
            (name == *known || (is_last && name.starts_with(known))).then_some(*unit)
        })
    })
}

/// A span of time as a number of seconds: `5400s`, `1.5s`.
pub(crate) fn show_duration(nanos: i64) -> String {
    // Go's Seconds: whole seconds plus a fraction, both as floating point numbers.
    let seconds = (nanos / NANOS) as f64 + (nanos % NANOS) as f64 / 1e9;
    format!("{seconds}s")
}
