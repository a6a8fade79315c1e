//! The slower reader of JSON: Go's error texts, duplicate keys, lone surrogates and bytes that are no UTF-8.
//!
//! Recursion is bounded by [`MAX_DEPTH`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Document, Duplicates, JsonError, MAX_DEPTH, float};
use crate::codec::strict::{Faults, MAX_PATH, StrictFault, shown_path};

/// Where a field stands in a document, by byte: the first time, and the second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) first: Option<usize>,
    pub(super) second: Option<usize>,
}

/// Reads a document.
pub(super) fn read(bytes: &[u8], duplicates: Duplicates) -> Result<Document, JsonError> {
    let mut reader = Reader::new(bytes, duplicates, BTreeMap::new());
    let value = reader.document()?;
    match reader.number_fault {
        Some(fault) => Err(JsonError(fault)),
        None => Ok(Document { value, faults: reader.faults.into_vec() }),
    }
}

/// Where a document has the wanted fields, by path.
pub(super) fn positions(bytes: &[u8], wanted: BTreeMap<String, Seen>) -> BTreeMap<String, Seen> {
    let mut reader = Reader::new(bytes, Duplicates::Replace, wanted);
    // A document that cannot be read to its end has been refused before; what was seen so far will do.
    let _ = reader.document();
    reader.wanted
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    duplicates: Duplicates,
    faults: Faults,
    /// The path of the value that is being read.
    path: String,
    wanted: BTreeMap<String, Seen>,
    /// Go checks the syntax of a whole document before it converts numbers, so such a fault is told last.
    number_fault: Option<String>,
}

type Read<T> = Result<T, JsonError>;

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], duplicates: Duplicates, wanted: BTreeMap<String, Seen>) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
            duplicates,
            faults: Faults::default(),
            path: String::new(),
            wanted,
            number_fault: None,
        }
    }

    fn document(&mut self) -> Read<Value> {
        let value = self.value()?;
        match self.next_token() {
            None => Ok(value),
            Some(_) => Err(self.unexpected("after top-level value")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not white space; it is not consumed.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// The fault that the byte at hand is not one that can stand there.
    fn unexpected(&self, context: &str) -> JsonError {
        match self.peek() {
            None => JsonError("unexpected end of JSON input".to_owned()),
            Some(byte) => JsonError(format!("invalid character {} {context}", quote_byte(byte))),
        }
    }

    fn value(&mut self) -> Read<Value> {
        match self.next_token() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<Value>) -> Read<Value> {
        if self.depth == MAX_DEPTH {
            return Err(self.unexpected("exceeded max depth"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// The rest of an array after its bracket.
    fn array(&mut self) -> Read<Value> {
        let mut list = Vec::new();
        if self.next_token() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(list));
        }
        loop {
            let outer = self.path.len();
            self.path.push_str(&format!("[{}]", list.len()));
            list.push(self.value()?);
            self.path.truncate(outer);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.unexpected("after array element")),
            }
        }
        self.at += 1;
        Ok(Value::Array(list))
    }

    /// The rest of an object after its brace.
    fn object(&mut self) -> Read<Value> {
        let mut map = Map::new();
        if self.next_token() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let position = self.at;
            let key = self.string()?;
            if self.next_token() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            let outer = self.path.len();
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            self.note(position, map.contains_key(&key));
            let value = self.value()?;
            self.path.truncate(outer);
            self.insert(&mut map, key, value);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
        self.at += 1;
        Ok(Value::Object(map))
    }

    /// Notes that the field at the current path begins here.
    fn note(&mut self, position: usize, again: bool) {
        if again && !self.faults.is_full() {
            self.faults.push(StrictFault::Duplicate(shown_path(&self.path)));
        }
        // Comparing longer paths for each of many fields would cost too much.
        if self.path.len() <= MAX_PATH
            && let Some(seen) = self.wanted.get_mut(&self.path)
        {
            match seen.first {
                None => seen.first = Some(position),
                Some(_) if seen.second.is_none() => seen.second = Some(position),
                Some(_) => {}
            }
        }
    }

    fn insert(&self, map: &mut Map<String, Value>, key: String, value: Value) {
        match (self.duplicates, map.get_mut(&key)) {
            (Duplicates::Merge, Some(old)) => merge(old, value),
            _ => {
                map.insert(key, value);
            }
        }
    }

    fn literal(&mut self, text: &str, value: Value) -> Read<Value> {
        for expected in text.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.unexpected(&format!("in literal {text} (expecting '{}')", char::from(expected))));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Read<Value> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => {
                self.digits();
            }
            _ => return Err(self.unexpected("in numeric literal")),
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.unexpected("after decimal point in numeric literal"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.unexpected("in exponent of numeric literal"));
            }
        }
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]);
        if let (true, Ok(number)) = (integer, text.parse::<i64>()) {
            return Ok(number.into());
        }
        let number: f64 = text.parse().expect("the grammar of JSON numbers is part of Rust's");
        if number.is_infinite() && self.number_fault.is_none() {
            let shown = &text[..text.len().min(MAX_PATH)];
            self.number_fault = Some(format!("json: cannot unmarshal number {shown} into Go value of type float64"));
        }
        Ok(float(number))
    }

    /// A string from its opening quote to its closing one.
    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            push_lossy(&mut text, &self.bytes[start..self.at]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    text.push(c);
                }
                _ => return Err(self.unexpected("in string literal")),
            }
        }
        self.at += 1;
        Ok(text)
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Read<char> {
        let plain = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `uXXXX`, and the other half of a surrogate pair if it follows; half a pair alone becomes U+FFFD.
    fn unicode_escape(&mut self) -> Read<char> {
        let high = self.hexadecimal()?;
        if let Some(c) = char::from_u32(high) {
            return Ok(c);
        }
        let after = self.at;
        if (0xd800..0xdc00).contains(&high) && self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 1;
            let low = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&low) {
                let c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = after;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    /// `uXXXX`.
    fn hexadecimal(&mut self) -> Read<u32> {
        self.at += 1;
        let mut number = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            number = number * 16 + digit.ok_or_else(|| self.unexpected("in \\u hexadecimal character escape"))?;
            self.at += 1;
        }
        Ok(number)
    }
}

/// Puts a second value in the place of a first, but merges objects, as deep as values can be nested.
fn merge(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                match old.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => {
                        old.insert(key, value);
                    }
                }
            }
        }
        (old, new) => *old = new,
    }
}

/// Appends bytes as text; as in Go, each byte that is no UTF-8 becomes one U+FFFD.
fn push_lossy(text: &mut String, mut bytes: &[u8]) {
    loop {
        match std::str::from_utf8(bytes) {
            Ok(valid) => return text.push_str(valid),
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).expect("checked up to here"));
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = &rest[1..];
            }
        }
    }
}

/// A byte as Go's scanner quotes it: as the character of that number.
fn quote_byte(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        0x7f => "'\\x7f'".to_owned(),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => {
            let quoted = atoll_api::field::go_quote(&char::from(byte).to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}
