//! Reads an expression in Go's syntax and writes the same expression in that of the `regex` crate.
//!
//! The two differ: what `\d`, `\w`, `\s` and `\b` know (ASCII only in Go), where braces and brackets are literal, which
//! operators may follow each other, which flags and escapes there are.

use std::collections::BTreeSet;

use super::{class, fault};

/// How deep groups may nest, as in Go.
const MAX_DEPTH: usize = 1000;
/// How often something may be repeated by count, all nested counts multiplied, as in Go.
const MAX_REPEAT: usize = 1000;
/// What one literal character costs, in bytes.
const LITERAL_SIZE: usize = 32;

/// An expression for the `regex` crate.
pub(super) struct Translated {
    pub(super) expression: String,
    /// Estimated size of the compiled form in bytes.
    pub(super) size: usize,
}

/// Text that is written, and what it costs.
#[derive(Default)]
pub(super) struct Weighed {
    text: String,
    size: usize,
    /// The scripts of Unicode named so far; each is looked up once, because looking up is slow.
    scripts: BTreeSet<String>,
}

impl Weighed {
    pub(super) fn push(&mut self, text: &str, size: usize) {
        self.text.push_str(text);
        self.size = self.size.saturating_add(size);
    }

    /// Whether a script of Unicode is one; `look_up` says it of a script not named before.
    pub(super) fn knows_class(&mut self, name: &str, look_up: impl FnOnce() -> bool) -> bool {
        self.scripts.contains(name) || (look_up() && self.scripts.insert(name.to_owned()))
    }
}

/// Writes one character that stands for itself, inside brackets or outside.
pub(super) fn literal(c: char, out: &mut Weighed) {
    let mut buffer = [0; 4];
    let text = c.encode_utf8(&mut buffer);
    // Backslash and angle bracket would be a word boundary.
    let text = if matches!(c, '<' | '>') { text.to_owned() } else { regex::escape(text) };
    out.push(&text, LITERAL_SIZE);
}

/// What the innermost open group holds.
#[derive(Clone, Copy)]
struct Group {
    /// Whether there is something that a repetition can apply to.
    repeatable: bool,
    /// Where the size of the last thing starts to count.
    size_before: usize,
    /// The counts in the last thing, multiplied.
    last_count: usize,
    /// The largest of all `last_count` in this group.
    max_count: usize,
    /// Size of all that was written when the group began.
    start: usize,
}

impl Group {
    fn new(start: usize) -> Self {
        Self { repeatable: false, size_before: start, last_count: 1, max_count: 1, start }
    }

    /// Something that can be repeated starts here.
    fn begin_item(&mut self, size: usize) {
        *self = Self { repeatable: true, size_before: size, last_count: 1, ..*self };
    }
}

struct Translator<'a> {
    whole: &'a str,
    out: Weighed,
    open: Vec<Group>,
    group: Group,
}

pub(super) fn translate(whole: &str) -> Result<Translated, String> {
    let mut translator = Translator { whole, out: Weighed::default(), open: Vec::new(), group: Group::new(0) };
    let mut rest = whole;
    // The text of the repetition that was read last, if nothing stood after it.
    let mut last_repetition: Option<&str> = None;
    while let Some(c) = rest.chars().next() {
        let repetition = match c {
            '*' | '+' | '?' => Some((c, None, &rest[1..])),
            '{' => counts(rest).map(|(counts, after)| (c, Some(counts), after)),
            _ => None,
        };
        match repetition {
            Some((operator, counts, after)) => {
                let before = rest;
                rest = translator.repeat(before, operator, counts, after, last_repetition)?;
                last_repetition = Some(before);
            }
            None => {
                rest = translator.item(c, rest)?;
                last_repetition = None;
            }
        }
    }
    if !translator.open.is_empty() {
        return Err(fault("missing closing )", whole));
    }
    Ok(Translated { expression: translator.out.text, size: translator.out.size })
}

impl<'a> Translator<'a> {
    /// Reads one thing that is not a repetition; gives what follows it.
    fn item(&mut self, c: char, rest: &'a str) -> Result<&'a str, String> {
        match c {
            '(' => self.open_group(rest),
            ')' => {
                let Some(mut outer) = self.open.pop() else { return Err(fault("unexpected )", self.whole)) };
                outer.begin_item(self.group.start);
                outer.last_count = self.group.max_count;
                outer.max_count = outer.max_count.max(self.group.max_count);
                self.group = outer;
                self.out.push(")", 0);
                Ok(&rest[1..])
            }
            '|' => {
                self.group.repeatable = false;
                self.out.push("|", LITERAL_SIZE);
                Ok(&rest[1..])
            }
            '\\' => self.escape(rest),
            '[' => {
                self.group.begin_item(self.out.size);
                class::bracketed(rest, &mut self.out)
            }
            '^' | '$' | '.' => {
                self.group.begin_item(self.out.size);
                self.out.push(&rest[..1], LITERAL_SIZE * 4);
                Ok(&rest[1..])
            }
            c => {
                self.group.begin_item(self.out.size);
                literal(c, &mut self.out);
                Ok(&rest[c.len_utf8()..])
            }
        }
    }

    fn open_group(&mut self, rest: &'a str) -> Result<&'a str, String> {
        let after = match rest.strip_prefix("(?") {
            None => {
                self.out.push("(?:", 0);
                &rest[1..]
            }
            Some(inner) => match inner.strip_prefix("P<").or_else(|| inner.strip_prefix('<')) {
                Some(name) => {
                    self.out.push("(?:", 0);
                    group_name(rest, name)?
                }
                None => {
                    let (after, opens) = self.flags(rest, inner)?;
                    if !opens {
                        return Ok(after);
                    }
                    after
                }
            },
        };
        if self.open.len() >= MAX_DEPTH {
            return Err(fault("expression nests too deeply", self.whole));
        }
        self.open.push(self.group);
        self.group = Group::new(self.out.size);
        Ok(after)
    }

    /// Reads flags after `(?`; gives what follows and whether they open a group.
    fn flags(&mut self, rest: &'a str, inner: &'a str) -> Result<(&'a str, bool), String> {
        let mut negated = false;
        let mut seen = false;
        for (at, c) in inner.char_indices() {
            match c {
                'i' | 'm' | 's' | 'U' => seen = true,
                '-' if !negated => (negated, seen) = (true, false),
                ':' | ')' if !negated || seen => {
                    let text = &rest[..2 + at + 1];
                    // An empty list of flags is nothing to the one crate and a fault to the other.
                    self.out.push(if text == "(?)" { "" } else { text }, 0);
                    return Ok((&inner[at + 1..], c == ':'));
                }
                _ => return Err(fault("invalid or unsupported Perl syntax", &rest[..2 + at + c.len_utf8()])),
            }
        }
        Err(fault("missing closing )", self.whole))
    }

    fn escape(&mut self, rest: &'a str) -> Result<&'a str, String> {
        if let Some(quoted) = rest.strip_prefix(r"\Q") {
            let (text, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            for c in text.chars() {
                self.group.begin_item(self.out.size);
                literal(c, &mut self.out);
            }
            return Ok(after);
        }
        self.group.begin_item(self.out.size);
        let assertion = match rest.get(..2) {
            Some(r"\A") => Some(r"\A"),
            Some(r"\z") => Some(r"\z"),
            Some(r"\b") => Some(r"(?-u:\b)"),
            Some(r"\B") => Some(r"(?-u:\B)"),
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.out.push(assertion, LITERAL_SIZE);
            return Ok(&rest[2..]);
        }
        if let Some(after) = class::unicode(rest, &mut self.out)? {
            return Ok(after);
        }
        if let Some(after) = class::perl(rest, &mut self.out) {
            return Ok(after);
        }
        let (c, after) = class::escape(rest)?;
        literal(c, &mut self.out);
        Ok(after)
    }

    /// Writes a repetition of the last thing; gives what follows it.
    fn repeat(
        &mut self,
        before: &'a str,
        operator: char,
        counts: Option<Counts>,
        after: &'a str,
        last_repetition: Option<&'a str>,
    ) -> Result<&'a str, String> {
        let text = |from: &'a str, to: &str| &from[..from.len() - to.len()];
        if counts.as_ref().is_some_and(|counts| !counts.are_valid()) {
            return Err(fault("invalid repeat count", text(before, after)));
        }
        let (after, lazy) = match after.strip_prefix('?') {
            Some(after) => (after, "?"),
            None => (after, ""),
        };
        if let Some(last) = last_repetition {
            return Err(fault("invalid nested repetition operator", text(last, after)));
        }
        if !self.group.repeatable {
            return Err(fault("missing argument to repetition operator", text(before, after)));
        }
        match counts {
            None => self.out.push(&format!("{operator}{lazy}"), LITERAL_SIZE),
            Some(counts) => {
                let most = counts.max.unwrap_or(counts.min);
                let product = self.group.last_count * most.max(1);
                if most >= 2 && product > MAX_REPEAT {
                    return Err(fault("invalid repeat count", text(before, after)));
                }
                self.group.last_count = product;
                self.group.max_count = self.group.max_count.max(product);
                let item = self.out.size - self.group.size_before;
                let copies = item.saturating_mul(most.saturating_sub(1));
                self.out.push(&counts.write(lazy), copies);
            }
        }
        Ok(after)
    }
}

/// `{2}`, `{2,}` or `{2,5}`.
struct Counts {
    min: usize,
    /// `None` for no limit.
    max: Option<usize>,
}

impl Counts {
    fn are_valid(&self) -> bool {
        self.min <= MAX_REPEAT && self.max.is_none_or(|max| max <= MAX_REPEAT && self.min <= max)
    }

    fn write(&self, lazy: &str) -> String {
        match self.max {
            Some(max) => format!("{{{},{max}}}{lazy}", self.min),
            None => format!("{{{},}}{lazy}", self.min),
        }
    }
}

/// Reads counts in braces; `None` where the brace is an ordinary character.
fn counts(rest: &str) -> Option<(Counts, &str)> {
    let (min, rest) = number(&rest[1..])?;
    if let Some(after) = rest.strip_prefix('}') {
        return Some((Counts { min, max: Some(min) }, after));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(after) = rest.strip_prefix('}') {
        return Some((Counts { min, max: None }, after));
    }
    let (max, rest) = number(rest)?;
    Some((Counts { min, max: Some(max) }, rest.strip_prefix('}')?))
}

fn number(rest: &str) -> Option<(usize, &str)> {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let digits = &rest[..length];
    if digits.is_empty() || (length > 1 && digits.starts_with('0')) {
        return None;
    }
    // Numbers that do not fit are too large anyway.
    Some((digits.parse().unwrap_or(usize::MAX), &rest[length..]))
}

/// Reads the rest of `(?P<name>`; gives what follows.
fn group_name<'a>(rest: &'a str, name: &'a str) -> Result<&'a str, String> {
    let Some(end) = name.find('>') else { return Err(fault("invalid named capture", rest)) };
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if end == 0 || !name[..end].chars().all(is_word) {
        return Err(fault("invalid named capture", &rest[..rest.len() - name.len() + end + 1]));
    }
    Ok(&name[end + 1..])
}
