//! Strings: cel-go's string library, version 2, in which characters are code points.

use super::{Row, format_text, int, list, text, whole_list};
use crate::fault::{Eval, EvalError, Work};
use crate::value::{Text, Value};

pub(super) const ROWS: &[Row] = &[
    Row("string_char_at_int", "<string>.charAt(int) -> string", |_, args| {
        let (text, index) = (text(args, 0)?, int(args, 1)?);
        let at = character_offset(text, index).ok_or_else(|| out_of_range(index))?;
        let character = text[at..].chars().next();
        Ok(Value::owned(character.map(String::from).unwrap_or_default()))
    }),
    Row("string_index_of_string", "<string>.indexOf(string) -> int", |_, args| index_of(args, 0)),
    Row("string_index_of_string_int", "<string>.indexOf(string, int) -> int", |_, args| index_of(args, int(args, 2)?)),
    Row("string_last_index_of_string", "<string>.lastIndexOf(string) -> int", |_, args| last_index_of(args, None)),
    Row("string_last_index_of_string_int", "<string>.lastIndexOf(string, int) -> int", |_, args| {
        last_index_of(args, Some(int(args, 2)?))
    }),
    Row("string_lower_ascii", "<string>.lowerAscii() -> string", |_, args| {
        Ok(Value::owned(text(args, 0)?.to_ascii_lowercase()))
    }),
    Row("string_replace_string_string", "<string>.replace(string, string) -> string", |work, args| {
        replace(args, -1, work)
    }),
    Row("string_replace_string_string_int", "<string>.replace(string, string, int) -> string", |work, args| {
        replace(args, int(args, 3)?, work)
    }),
    Row("string_split_string", "<string>.split(string) -> list(string)", |work, args| split(args, -1, work)),
    Row("string_split_string_int", "<string>.split(string, int) -> list(string)", |work, args| {
        split(args, int(args, 2)?, work)
    }),
    Row("string_substring_int", "<string>.substring(int) -> string", |_, args| {
        let (text, start) = (text(args, 0)?, int(args, 1)?);
        let at = character_offset(text, start).ok_or_else(|| out_of_range(start))?;
        Ok(Value::owned(&text[at..]))
    }),
    Row("string_substring_int_int", "<string>.substring(int, int) -> string", |_, args| {
        let (text, start, end) = (text(args, 0)?, int(args, 1)?, int(args, 2)?);
        if start > end {
            return Err(EvalError::new(format!("invalid substring range. start: {start}, end: {end}")));
        }
        let from = character_offset(text, start).ok_or_else(|| out_of_range(start))?;
        let to = character_offset(text, end).ok_or_else(|| out_of_range(end))?;
        Ok(Value::owned(&text[from..to]))
    }),
    Row("string_trim", "<string>.trim() -> string", |_, args| Ok(Value::owned(text(args, 0)?.trim_matches(is_space)))),
    Row("string_upper_ascii", "<string>.upperAscii() -> string", |_, args| {
        Ok(Value::owned(text(args, 0)?.to_ascii_uppercase()))
    }),
    Row("string_format", "<string>.format(list(dyn)) -> string", |work, args| {
        format_text::format(text(args, 0)?, list(args, 1)?, work)
    }),
    Row("strings_quote", "strings.quote(string) -> string", |_, args| Ok(Value::owned(quote(text(args, 0)?)))),
    Row("list_join", "<list(string)>.join() -> string", |work, args| join(args, "", work)),
    Row("list_join_string", "<list(string)>.join(string) -> string", |work, args| {
        join(args, &text(args, 1)?.clone(), work)
    }),
    // For the patches of mutating policies.
    Row("string_jsonpatch_escapeKey_string", "jsonpatch.escapeKey(string) -> string", |_, args| {
        Ok(Value::owned(text(args, 0)?.replace('~', "~0").replace('/', "~1")))
    }),
];

fn out_of_range(index: i64) -> EvalError {
    EvalError::new(format!("index out of range: {index}"))
}

/// What Go counts as white space.
fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// Where the character with this index begins; the index behind the last one is that of the end.
fn character_offset(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    let mut offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]);
    offsets.nth(index)
}

fn index_of<'a>(args: &[Value<'a>], from: i64) -> Eval<Value<'a>> {
    let (text, part) = (text(args, 0)?, text(args, 1)?);
    if part.is_empty() {
        return Ok(Value::Int(from));
    }
    if from < 0 {
        return Err(out_of_range(from));
    }
    let found = character_offset(text, from).and_then(|start| text[start..].find(&**part).map(|at| start + at));
    Ok(Value::Int(found.map_or(-1, |at| text[..at].chars().count() as i64)))
}

fn last_index_of<'a>(args: &[Value<'a>], until: Option<i64>) -> Eval<Value<'a>> {
    let (text, part) = (text(args, 0)?, text(args, 1)?);
    let length = || text.chars().count() as i64;
    if part.is_empty() {
        return Ok(Value::Int(until.unwrap_or_else(length)));
    }
    let until = match until {
        Some(until) if until < 0 => return Err(out_of_range(until)),
        Some(until) => until,
        None if text.len() < part.len() => return Ok(Value::Int(-1)),
        None => length() - 1,
    };
    if until >= length() {
        return Ok(Value::Int(-1));
    }
    // The match may begin at `until` at the latest.
    let last_start = character_offset(text, until).unwrap_or(text.len());
    let end = (last_start + part.len()).min(text.len());
    let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
    let found = text[..end].rfind(&**part).filter(|at| *at <= last_start);
    Ok(Value::Int(found.map_or(-1, |at| text[..at].chars().count() as i64)))
}

fn replace<'a>(args: &[Value<'a>], limit: i64, work: &mut Work) -> Eval<Value<'a>> {
    let (text, old, new) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let places = if old.is_empty() { text.len() + 1 } else { text.matches(&**old).count() };
    work.allocate(text.len().saturating_add(places.min(limit).saturating_mul(new.len())))?;
    Ok(Value::owned(text.replacen(&**old, new, limit)))
}

fn split<'a>(args: &[Value<'a>], limit: i64, work: &mut Work) -> Eval<Value<'a>> {
    let (text, separator) = (text(args, 0)?, text(args, 1)?);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::list(Vec::new()));
    }
    let parts: Vec<String> = if separator.is_empty() {
        explode(text, limit)
    } else {
        text.splitn(limit, &**separator).map(str::to_owned).collect()
    };
    // Each part is a value of its own.
    work.allocate_list(parts.len().saturating_mul(2))?;
    Ok(Value::strings(parts))
}

/// Single characters, and the rest where the limit is reached.
fn explode(text: &str, limit: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if parts.len() + 1 == limit {
            parts.push(rest.to_owned());
            break;
        }
        parts.push(c.to_string());
        rest = &rest[c.len_utf8()..];
    }
    parts
}

fn join<'a>(args: &[Value<'a>], separator: &str, work: &mut Work) -> Eval<Value<'a>> {
    let mut joined = String::new();
    for (index, element) in whole_list(args, 0, work)?.iter().enumerate() {
        if index > 0 {
            work.allocate(separator.len())?;
            joined.push_str(separator);
        }
        match element? {
            Value::String(text) => {
                work.allocate(text.len())?;
                joined.push_str(&text);
            }
            other => return Err(EvalError::new(format!("join: invalid input: {other}"))),
        }
    }
    Ok(Value::String(Text::owned(joined)))
}

/// The text in quotes, with escapes for what cannot stand in them.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match escaped(c) {
            Some(escape) => quoted.push_str(escape),
            None => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The short escape of a character, if it has one.
pub(super) fn escaped(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        '\\' => "\\\\",
        '"' => "\\\"",
        _ => return None,
    })
}
