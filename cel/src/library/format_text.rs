//! `string.format`: clauses such as `%d`, applied to values, or checked against types before anything is evaluated.

use atoll_api::validation::is_printable;

use super::strings::escaped;
use crate::fault::{Eval, EvalError, Work};
use crate::value::{Conversion, List, Map, Value, convert};

const DEFAULT_PRECISION: usize = 6;
/// How many digits behind the point a number can have.
const MAX_DIGITS: usize = 1100;
/// How many digits a precision may ask for; Go's own limit.
const MAX_PRECISION: usize = 1_000_000;

/// What a clause asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    String,
    Decimal,
    Fixed(usize),
    /// The number is how many characters wide the text is, at least; cel-go takes the precision for that.
    Scientific(usize),
    Binary,
    Hex {
        uppercase: bool,
    },
    Octal,
}

/// What is done with the clauses of a format.
pub(crate) trait Checker {
    /// How many values there are.
    fn count(&self) -> usize;
    /// The text for the value at `index`, or a fault.
    fn apply(&mut self, index: usize, clause: Clause) -> Result<String, String>;
}

/// Goes through a format; gives the text and how many values were used.
pub(crate) fn check(format: &str, checker: &mut dyn Checker) -> Result<(String, usize), String> {
    let mut out = String::with_capacity(format.len());
    let mut used = 0;
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        if used >= checker.count() {
            return Err(format!("index {used} out of range"));
        }
        if rest.is_empty() {
            return Err("unexpected end of string".to_owned());
        }
        let (clause, after) = clause(rest).map_err(|fault| format!("could not parse formatting clause: {fault}"))?;
        out.push_str(&checker.apply(used, clause).map_err(|fault| format!("error during formatting: {fault}"))?);
        rest = after;
        used += 1;
    }
    out.push_str(rest);
    Ok((out, used))
}

fn clause(text: &str) -> Result<(Clause, &str), String> {
    let (precision, rest) = precision(text)?;
    let mut chars = rest.chars();
    let Some(letter) = chars.next() else { return Err("could not find end of precision specifier".to_owned()) };
    let digits = precision.unwrap_or(DEFAULT_PRECISION);
    let clause = match letter {
        's' => Clause::String,
        'd' => Clause::Decimal,
        'f' => Clause::Fixed(digits),
        'e' => Clause::Scientific(digits),
        'b' => Clause::Binary,
        'x' => Clause::Hex { uppercase: false },
        'X' => Clause::Hex { uppercase: true },
        'o' => Clause::Octal,
        _ => return Err(format!("unrecognized formatting clause \"{letter}\"")),
    };
    Ok((clause, chars.as_str()))
}

fn precision(text: &str) -> Result<(Option<usize>, &str), String> {
    let Some(rest) = text.strip_prefix('.') else { return Ok((None, text)) };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == rest.len() {
        return Err("error while parsing precision: could not find end of precision specifier".to_owned());
    }
    let digits = &rest[..length];
    match digits.parse::<usize>() {
        Ok(precision) => Ok((Some(precision), &rest[length..])),
        Err(_) => {
            let fault = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
            Err(format!(
                "error while parsing precision: error while converting precision to integer: \
                 strconv.Atoi: parsing {digits:?}: {fault}"
            ))
        }
    }
}

/// The fault of a clause that cannot take a value of a type.
pub(crate) fn unfit(clause: Clause, type_name: &str) -> String {
    let what = match clause {
        Clause::String => {
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and \
             timestamps"
        }
        Clause::Decimal => "decimal clause can only be used on integers",
        Clause::Fixed(_) => "fixed-point clause can only be used on doubles",
        Clause::Scientific(_) => "scientific clause can only be used on doubles",
        Clause::Binary => "only integers and bools can be formatted as binary",
        Clause::Hex { .. } => "only integers, byte buffers, and strings can be formatted as hex",
        Clause::Octal => "octal clause can only be used on integers",
    };
    format!("{what}, was given {type_name}")
}

struct Formatter<'l, 'a, 'w> {
    values: &'l List<'a>,
    work: &'w mut Work,
    /// A failure that is more than a fault of the format.
    stopped: Option<EvalError>,
}

impl Checker for Formatter<'_, '_, '_> {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn apply(&mut self, index: usize, clause: Clause) -> Result<String, String> {
        let value = match self.values.get(index) {
            Some(Ok(value)) => value,
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err(format!("index {index} out of range")),
        };
        if let Clause::Fixed(digits) | Clause::Scientific(digits) = clause
            && let Err(error) = self.work.allocate(digits.min(MAX_PRECISION))
        {
            self.stopped = Some(error.clone());
            return Err(error.to_string());
        }
        let stopped = &mut self.stopped;
        let work = &mut *self.work;
        let mut show = |value: &Value<'_>| match shown(value, work) {
            Err(error) if error.is_final() => {
                *stopped = Some(error.clone());
                Err(error.to_string())
            }
            result => result.map_err(|error| error.to_string()),
        };
        let unfit = || unfit(clause, value.type_name());
        match (clause, &value) {
            (Clause::String, value) => show(value),
            (Clause::Decimal, Value::Int(number)) => Ok(number.to_string()),
            (Clause::Decimal, Value::Uint(number)) => Ok(number.to_string()),
            (Clause::Fixed(digits), value) => number(value).ok_or_else(unfit).and_then(|n| fixed(n, digits)),
            (Clause::Scientific(digits), value) => number(value).ok_or_else(unfit).map(|n| scientific(n, digits)),
            (Clause::Binary, Value::Bool(truth)) => Ok(u8::from(*truth).to_string()),
            (Clause::Binary, Value::Uint(number)) => Ok(format!("{number:b}")),
            (Clause::Binary, Value::Int(number)) => Ok(signed(*number, format!("{:b}", number.unsigned_abs()))),
            (Clause::Octal, Value::Uint(number)) => Ok(format!("{number:o}")),
            (Clause::Octal, Value::Int(number)) => Ok(signed(*number, format!("{:o}", number.unsigned_abs()))),
            (Clause::Hex { uppercase }, value) => {
                let text = hex(value).ok_or_else(unfit)?;
                Ok(if uppercase { text.to_uppercase() } else { text })
            }
            _ => Err(unfit()),
        }
    }
}

/// The format with the values filled in.
pub(super) fn format<'a>(format: &str, values: &List<'a>, work: &mut Work) -> Eval<Value<'a>> {
    let mut formatter = Formatter { values, work, stopped: None };
    let result = check(format, &mut formatter);
    if let Some(error) = formatter.stopped {
        return Err(error);
    }
    result.map(|(text, _)| Value::owned(text)).map_err(EvalError::new)
}

fn signed(number: i64, digits: String) -> String {
    if number < 0 { format!("-{digits}") } else { digits }
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::String(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn special(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "∞" } else { "-∞" })
    } else {
        None
    }
}

/// As English writes it: with commas between groups of three digits.
fn fixed(number: f64, digits: usize) -> Result<String, String> {
    if let Some(special) = special(number) {
        return Ok(special.to_owned());
    }
    let mut text = format!("{:.*}", digits.min(MAX_DIGITS), number.abs());
    text.extend(std::iter::repeat_n('0', digits.min(MAX_PRECISION).saturating_sub(MAX_DIGITS)));
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    if number.is_sign_negative() {
        grouped.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    Ok(grouped)
}

/// As typeset by Go's `message` package: `1.5 × 10⁰³`.
fn scientific(number: f64, width: usize) -> String {
    const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    if let Some(special) = special(number) {
        return padded(special, width);
    }
    let text = format!("{number:.DEFAULT_PRECISION$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if exponent < 0 { "⁻" } else { "" };
    let power: String = format!("{:02}", exponent.abs())
        .chars()
        .filter_map(|digit| digit.to_digit(10))
        .map(|digit| SUPERSCRIPTS[digit as usize])
        .collect();
    padded(&format!("{mantissa}×10{sign}{power}"), width)
}

/// The text behind as many spaces as it takes to make it so wide.
fn padded(text: &str, width: usize) -> String {
    let missing = width.min(MAX_PRECISION).saturating_sub(text.chars().count());
    " ".repeat(missing) + text
}

fn hex(value: &Value<'_>) -> Option<String> {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(match value {
        Value::Int(number) => signed(*number, format!("{:x}", number.unsigned_abs())),
        Value::Uint(number) => format!("{number:x}"),
        Value::String(text) => bytes(text.as_bytes()),
        Value::Bytes(value) => bytes(value),
        _ => return None,
    })
}

/// What `%s` makes of a value.
fn shown(value: &Value<'_>, work: &mut Work) -> Eval<String> {
    work.spend(1)?;
    match value {
        Value::List(list) => shown_list(list, work),
        Value::Map(map) => shown_map(map, work),
        Value::Null => Ok("null".to_owned()),
        Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Bool(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Bytes(_)
        | Value::Duration(_)
        | Value::Type(_) => match convert(value, Conversion::String)? {
            Value::String(text) => {
                work.allocate(text.len())?;
                Ok(text.to_string())
            }
            other => Ok(other.to_string()),
        },
        other => Err(EvalError::new(unfit(Clause::String, other.type_name()))),
    }
}

/// A value within a list or map: as it would be written in an expression.
fn nested(value: &Value<'_>, work: &mut Work) -> Eval<String> {
    match value {
        Value::String(text) => {
            work.allocate(text.len())?;
            Ok(go_quoted(text))
        }
        Value::Bytes(_) => Ok(format!("b{}", go_quoted(&shown(value, work)?))),
        Value::Double(number) => Ok(match special(*number) {
            Some("NaN") => "\"NaN\"".to_owned(),
            Some("∞") => "\"+Inf\"".to_owned(),
            Some(_) => "\"-Inf\"".to_owned(),
            None => format!("{number:.DEFAULT_PRECISION$}"),
        }),
        Value::Timestamp(_) => Ok(format!("timestamp({:?})", shown(value, work)?)),
        Value::Duration(_) => Ok(format!("duration({:?})", shown(value, work)?)),
        value => shown(value, work).map_err(|error| match error {
            EvalError::Failed(_) => EvalError::new(format!("no formatting function for {}", value.type_name())),
            error => error,
        }),
    }
}

/// A text in quotes, as Go's `%q` writes it.
fn go_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match (escaped(c), c) {
            (Some(escape), _) => quoted.push_str(escape),
            (None, '\0'..' ' | '\u{7f}') => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            (None, c) if is_printable(c) => quoted.push(c),
            (None, '\u{80}'..='\u{ffff}') => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            (None, c) => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

fn shown_list(list: &List<'_>, work: &mut Work) -> Eval<String> {
    let mut shown = Vec::with_capacity(list.len());
    for element in list.iter() {
        shown.push(nested(&element?, work)?);
    }
    Ok(format!("[{}]", shown.join(", ")))
}

fn shown_map(map: &Map<'_>, work: &mut Work) -> Eval<String> {
    let mut entries = Vec::with_capacity(map.len());
    for key in map.keys() {
        if !matches!(key, Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Uint(_)) {
            let message = format!("no formatting function for map key of type {}", key.type_name());
            return Err(EvalError::new(message));
        }
        let value = map.find(&key)?.ok_or_else(|| EvalError::new(format!("could not find key: {key:?}")))?;
        entries.push((nested(&key, work)?, nested(&value, work)?));
    }
    entries.sort();
    let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    Ok(format!("{{{}}}", entries.join(", ")))
}
