//! Times as Kubernetes writes and reads them (`metav1.Time`, `metav1.MicroTime`), and durations as its tables show them.
//!
//! Nothing here asks what time it is.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use crate::field::go_quote;

const SECONDS_LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICROS_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Why a text is not a time, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimeError(String);

/// Reads a `metav1.Time`: RFC 3339; a fraction of a second is accepted and kept.
pub fn parse_time(text: &str) -> Result<Timestamp, TimeError> {
    Reader { text, rest: text, layout: SECONDS_LAYOUT }.read(Fraction::Optional)
}

/// Reads a `metav1.MicroTime`: RFC 3339 with exactly six digits of a second's fraction.
pub fn parse_micro_time(text: &str) -> Result<Timestamp, TimeError> {
    Reader { text, rest: text, layout: MICROS_LAYOUT }.read(Fraction::SixDigits)
}

/// Writes a `metav1.Time`: in UTC, whole seconds, what is finer cut off.
pub fn format_time(time: Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(time);
    format!("{}Z", civil_seconds(&civil))
}

/// Writes a `metav1.MicroTime`: in UTC, with six digits of a second's fraction.
pub fn format_micro_time(time: Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(time);
    format!("{}.{:06}Z", civil_seconds(&civil), civil.subsec_nanosecond() / 1000)
}

fn civil_seconds(civil: &DateTime) -> String {
    let (date, time) = (civil.date(), civil.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// A duration with two or three significant figures, as the AGE column shows it (`duration.HumanDuration`).
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let years = days / 365;
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => with_rest(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with_rest(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => with_rest(days, 'd', hours % 24, 'h'),
        _ if hours < 24 * 365 * 2 => format!("{days}d"),
        _ if hours < 24 * 365 * 8 => with_rest(years, 'y', days % 365, 'd'),
        _ => format!("{years}y"),
    }
}

/// A duration in its greatest unit alone (`duration.ShortHumanDuration`).
pub fn short_human_duration(seconds: i64) -> String {
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 60 => format!("{seconds}s"),
        _ if seconds < 3600 => format!("{}m", seconds / 60),
        _ if seconds < 86400 => format!("{}h", seconds / 3600),
        _ if seconds < 86400 * 365 => format!("{}d", seconds / 86400),
        _ => format!("{}y", seconds / (86400 * 365)),
    }
}

fn with_rest(number: i64, unit: char, rest: i64, rest_unit: char) -> String {
    if rest == 0 { format!("{number}{unit}") } else { format!("{number}{unit}{rest}{rest_unit}") }
}

/// Whether a layout asks for a fraction of a second.
#[derive(Clone, Copy)]
enum Fraction {
    Optional,
    SixDigits,
}

/// Reads a time element by element, so that a fault names the element that Go's `time.Parse` would name.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl Reader<'_> {
    fn read(mut self, fraction: Fraction) -> Result<Timestamp, TimeError> {
        let year = self.digits(4, "2006")?;
        self.literal("-")?;
        let month = self.digits(2, "01")?;
        if !(1..=12).contains(&month) {
            return Err(self.out_of_range("month"));
        }
        self.literal("-")?;
        let day = self.digits(2, "02")?;
        self.literal("T")?;
        let hour = self.one_or_two_digits("15")?;
        if hour > 23 {
            return Err(self.out_of_range("hour"));
        }
        self.literal(":")?;
        let minute = self.digits(2, "04")?;
        if minute > 59 {
            return Err(self.out_of_range("minute"));
        }
        self.literal(":")?;
        let second = self.digits(2, "05")?;
        if second > 59 {
            return Err(self.out_of_range("second"));
        }
        let nanos = self.fraction(fraction)?;
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(self.message(&format!(": extra text: {}", go_quote(self.rest))));
        }
        let date = Date::new(year as i16, month as i8, day as i8).map_err(|_| self.out_of_range("day"))?;
        let time =
            Time::new(hour as i8, minute as i8, second as i8, nanos).expect("each part of the time was checked above");
        let offset = Offset::from_seconds(offset).map_err(|_| self.out_of_range("time zone offset hour"))?;
        offset.to_timestamp(DateTime::from_parts(date, time)).map_err(|_| self.out_of_range("year"))
    }

    /// A fault that names the element of the layout which the rest of the text does not fit.
    fn expected(&self, element: &str) -> TimeError {
        let (layout, rest) = (go_quote(self.layout), go_quote(self.rest));
        self.message(&format!(" as {layout}: cannot parse {rest} as {}", go_quote(element)))
    }

    fn out_of_range(&self, what: &str) -> TimeError {
        self.message(&format!(": {what} out of range"))
    }

    fn message(&self, message: &str) -> TimeError {
        TimeError(format!("parsing time {}{message}", go_quote(self.text)))
    }

    fn take(&mut self, count: usize) -> &str {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    fn leading_digits(&self) -> usize {
        self.rest.bytes().take_while(u8::is_ascii_digit).count()
    }

    fn digits(&mut self, count: usize, element: &str) -> Result<u16, TimeError> {
        if self.leading_digits() < count {
            return Err(self.expected(element));
        }
        Ok(self.take(count).parse().expect("at most four digits"))
    }

    /// Go reads the hour with one or two digits whatever the layout says.
    fn one_or_two_digits(&mut self, element: &str) -> Result<u16, TimeError> {
        let count = self.leading_digits().min(2);
        if count == 0 {
            return Err(self.expected(element));
        }
        self.digits(count, element)
    }

    fn literal(&mut self, expected: &str) -> Result<(), TimeError> {
        match self.rest.strip_prefix(expected) {
            Some(rest) => self.rest = rest,
            None => return Err(self.expected(expected)),
        }
        Ok(())
    }

    fn fraction(&mut self, fraction: Fraction) -> Result<i32, TimeError> {
        let separated = self.rest.starts_with(['.', ',']);
        let digits = self.rest.bytes().skip(1).take_while(u8::is_ascii_digit).count();
        let count = match fraction {
            Fraction::Optional if separated && digits > 0 => digits,
            Fraction::Optional => return Ok(0),
            Fraction::SixDigits if separated && digits >= 6 => 6,
            Fraction::SixDigits => return Err(self.expected(".000000")),
        };
        let digits = &self.take(count + 1)[1..];
        let nanos = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
        Ok(nanos.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    }

    /// `Z` or `±hh:mm`, in seconds east of UTC.
    fn offset(&mut self) -> Result<i32, TimeError> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let bytes = self.rest.as_bytes();
        let well_formed = bytes.len() >= 6
            && matches!(bytes[0], b'+' | b'-')
            && bytes[3] == b':'
            && [1, 2, 4, 5].iter().all(|&i: &usize| bytes[i].is_ascii_digit());
        if !well_formed {
            return Err(self.expected("Z07:00"));
        }
        let number = |i: usize| i32::from(bytes[i] - b'0') * 10 + i32::from(bytes[i + 1] - b'0');
        let (hours, minutes, negative) = (number(1), number(4), bytes[0] == b'-');
        self.take(6);
        if hours > 24 {
            return Err(self.out_of_range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.out_of_range("time zone offset minute"));
        }
        let seconds = hours * 3600 + minutes * 60;
        Ok(if negative { -seconds } else { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_rfc_3339_and_written_in_utc() {
        let cases = [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T05:04:05+02:00", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.999999999Z", "2024-01-02T03:04:05Z"),
            ("2024-02-29T3:04:05-00:30", "2024-02-29T03:34:05Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(format_time(parse_time(text).expect(text)), expected);
        }
    }

    #[test]
    fn micro_times_have_six_digits() {
        let time = parse_micro_time("2024-01-02T05:04:05.123456+02:00").expect("well formed");
        assert_eq!(format_micro_time(time), "2024-01-02T03:04:05.123456Z");
        assert_eq!(
            format_micro_time(parse_time("2024-01-02T03:04:05Z").expect("well formed")),
            "2024-01-02T03:04:05.000000Z"
        );
    }

    #[test]
    fn faults_have_gos_words() {
        let micro = r#" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "#;
        let cases = [
            ("yesterday", format!(r#"parsing time "yesterday"{micro}"yesterday" as "2006""#)),
            ("2024-01-02T03:04:05Z", format!(r#"parsing time "2024-01-02T03:04:05Z"{micro}"Z" as ".000000""#)),
            (
                "2024-01-02T03:04:05.1234567Z",
                format!(r#"parsing time "2024-01-02T03:04:05.1234567Z"{micro}"7Z" as "Z07:00""#),
            ),
            (
                "2024-13-02T03:04:05.000000Z",
                r#"parsing time "2024-13-02T03:04:05.000000Z": month out of range"#.to_owned(),
            ),
            (
                "2023-02-29T03:04:05.000000Z",
                r#"parsing time "2023-02-29T03:04:05.000000Z": day out of range"#.to_owned(),
            ),
            (
                "2023-02-28T03:04:05.000000Zx",
                r#"parsing time "2023-02-28T03:04:05.000000Zx": extra text: "x""#.to_owned(),
            ),
            ("2023é02", format!(r#"parsing time "2023é02"{micro}"é02" as "-""#)),
            ("", format!(r#"parsing time ""{micro}"" as "2006""#)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_micro_time(text).expect_err(text).to_string(), expected);
        }
        for text in ["9999-12-31T23:59:59-24:00", "2024-01-02T03:04:05+25:00", "2024-01-02T03:04:05+1é:0"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_with_two_or_three_figures() {
        let (minute, hour, day, year) = (60, 3600, 86400, 86400 * 365);
        let cases = [
            (-5, "<invalid>", "<invalid>"),
            (-1, "0s", "0s"),
            (0, "0s", "0s"),
            (119, "119s", "1m"),
            (2 * minute, "2m", "2m"),
            (2 * minute + 5, "2m5s", "2m"),
            (10 * minute + 5, "10m", "10m"),
            (179 * minute, "179m", "2h"),
            (3 * hour + minute, "3h1m", "3h"),
            (8 * hour + minute, "8h", "8h"),
            (47 * hour, "47h", "1d"),
            (2 * day, "2d", "2d"),
            (2 * day + hour, "2d1h", "2d"),
            (8 * day + hour, "8d", "8d"),
            (729 * day, "729d", "1y"),
            (2 * year, "2y", "2y"),
            (2 * year + 3 * day, "2y3d", "2y"),
            (8 * year + 3 * day, "8y", "8y"),
        ];
        for (seconds, long, short) in cases {
            assert_eq!(human_duration(seconds), long, "{seconds}");
            assert_eq!(short_human_duration(seconds), short, "{seconds}");
        }
    }
}
