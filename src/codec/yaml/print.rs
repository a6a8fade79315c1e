//! Values to YAML, laid out as `sigs.k8s.io/yaml` lays it out: block style, keys sorted, list items not indented.

use serde_json::{Map, Value};

use super::scalar::{Scalar, resolve};
use crate::codec::json::go_float;

/// Longer keys are written in the explicit form, as a parser need not look further for the colon.
const MAX_SIMPLE_KEY: usize = 128;

/// A value as YAML.
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut printer = Printer { text: String::with_capacity(1024) };
    match value {
        Value::Object(map) if !map.is_empty() => printer.mapping(map, 0, At::LineStart),
        Value::Array(list) if !list.is_empty() => printer.sequence(list, 0, At::LineStart),
        scalar => {
            printer.scalar(scalar, 0);
            printer.text.push('\n');
        }
    }
    printer.text.into_bytes()
}

/// Where a collection begins.
#[derive(Clone, Copy, PartialEq)]
enum At {
    /// On a line of its own.
    LineStart,
    /// After a `- ` or the like: its first entry goes on that line.
    AfterIndicator,
}

struct Printer {
    text: String,
}

impl Printer {
    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    fn mapping(&mut self, map: &Map<String, Value>, indent: usize, at: At) {
        for (index, (key, value)) in map.iter().enumerate() {
            if index > 0 || at == At::LineStart {
                self.indent(indent);
            }
            if key.len() > MAX_SIMPLE_KEY || key.contains('\n') {
                self.text.push_str("? ");
                double_quote(&mut self.text, key);
                self.text.push('\n');
                self.indent(indent);
                self.text.push_str(": ");
                self.after_indicator(value, indent + 2);
                continue;
            }
            self.string(key, indent);
            self.text.push(':');
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.text.push('\n');
                    self.mapping(map, indent + 2, At::LineStart);
                }
                Value::Array(list) if !list.is_empty() => {
                    self.text.push('\n');
                    self.sequence(list, indent, At::LineStart);
                }
                scalar => {
                    self.text.push(' ');
                    self.scalar(scalar, indent + 2);
                    self.text.push('\n');
                }
            }
        }
    }

    fn sequence(&mut self, list: &[Value], indent: usize, at: At) {
        for (index, value) in list.iter().enumerate() {
            if index > 0 || at == At::LineStart {
                self.indent(indent);
            }
            self.text.push_str("- ");
            self.after_indicator(value, indent + 2);
        }
    }

    fn after_indicator(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(map, indent, At::AfterIndicator),
            Value::Array(list) if !list.is_empty() => self.sequence(list, indent, At::AfterIndicator),
            scalar => {
                self.scalar(scalar, indent);
                self.text.push('\n');
            }
        }
    }

    /// A scalar or an empty collection, without the line's end; `indent` is that of further lines.
    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                Some(float) => self.text.push_str(&yaml_float(float)),
                None => self.text.push_str(&number.to_string()),
            },
            Value::String(text) => self.string(text, indent),
            Value::Array(_) => self.text.push_str("[]"),
            Value::Object(_) => self.text.push_str("{}"),
        }
    }

    fn string(&mut self, text: &str, indent: usize) {
        let reads_as_text = resolve(text) == Scalar::Text && text != "<<" && !is_base_60(text) && !is_timestamp(text);
        if !text.chars().all(is_plain_printable) {
            double_quote(&mut self.text, text);
        } else if text.contains('\n') {
            if text.contains(" \n") || text.ends_with(' ') || text.trim_matches('\n').is_empty() {
                double_quote(&mut self.text, text);
            } else {
                self.literal(text, indent);
            }
        } else if !reads_as_text {
            double_quote(&mut self.text, text);
        } else if can_be_plain(text) {
            self.text.push_str(text);
        } else {
            self.text.push('\'');
            self.text.push_str(&text.replace('\'', "''"));
            self.text.push('\'');
        }
    }

    /// Several lines, each on a line of its own; the last line's end is left to the caller.
    fn literal(&mut self, text: &str, indent: usize) {
        let indent = indent.max(2);
        self.text.push('|');
        if text.starts_with([' ', '\n']) {
            self.text.push('2');
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        if !text.ends_with('\n') {
            self.text.push('-');
        } else if body.ends_with('\n') {
            self.text.push('+');
        }
        for line in body.split('\n') {
            self.text.push('\n');
            if !line.is_empty() {
                self.indent(indent);
                self.text.push_str(line);
            }
        }
    }
}

/// What can stand in plain, quoted and literal text; the rest is escaped in double quotes.
fn is_plain_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether a text that would be read as text can stand without quotes in block style.
fn can_be_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let space_after = |index: usize| bytes.get(index + 1).is_none_or(|byte| *byte == b' ');
    let first = match bytes[0] {
        b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@'
        | b'`' | b' ' => false,
        b'-' | b'?' | b':' => !space_after(0),
        _ => true,
    };
    let inner = bytes.iter().enumerate().skip(1).all(|(index, byte)| match byte {
        b':' => !space_after(index),
        b'#' => bytes[index - 1] != b' ',
        _ => true,
    });
    first && inner && !text.ends_with(' ') && !text.starts_with("---") && !text.starts_with("...")
}

/// Whether YAML 1.1 would read a text as a number to the base 60, such as `1:30`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    unsigned.contains(':')
        && unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b":._".contains(&byte))
}

/// Whether YAML 1.1 would read a text as a date or time, such as `2001-02-03` or `2001-02-03T04:05:06Z`.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = text.split_at(text.find(['T', 't', ' ']).unwrap_or(text.len()));
    let numbers = |text: &str, separator: char, counts: [std::ops::RangeInclusive<usize>; 3]| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() == 3
            && parts
                .iter()
                .zip(counts)
                .all(|(part, count)| count.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let clock = time.get(1..).map(|time| &time[..time.find(['.', ',', 'Z', '+', '-']).unwrap_or(time.len())]);
    numbers(date, '-', [4..=4, 1..=2, 1..=2]) && clock.is_none_or(|clock| numbers(clock, ':', [1..=2, 1..=2, 1..=2]))
}

fn double_quote(quoted: &mut String, text: &str) {
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0' => quoted.push_str("\\0"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\u{1b}' => quoted.push_str("\\e"),
            c if is_plain_printable(c) => quoted.push(c),
            c if (c as u32) < 0x100 => quoted.push_str(&format!("\\x{:02X}", c as u32)),
            c if (c as u32) < 0x10000 => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push_str(&format!("\\U{:08X}", c as u32)),
        }
    }
    quoted.push('"');
}

/// A floating-point number as `go-yaml` prints it: with an exponent from a million on and below a ten-thousandth.
fn yaml_float(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9.2e18 {
        return go_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
