//! Splits the text of an expression into tokens, and reports what is none as ANTLR's lexers do.

use crate::source::{Issues, Source};

/// What a token is. The order is that of the grammar, in which expected tokens are listed in faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    End,
    Equal,
    NotEqual,
    In,
    Less,
    LessEqual,
    GreaterEqual,
    Greater,
    And,
    Or,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    LeftParen,
    RightParen,
    Dot,
    Comma,
    Minus,
    Not,
    Question,
    Colon,
    Plus,
    Star,
    Slash,
    Percent,
    True,
    False,
    Null,
    Float,
    Int,
    Uint,
    String,
    Bytes,
    Ident,
    QuotedIdent,
}

/// How tokens are named in faults, by kind.
const NAMES: [&str; 36] = [
    "<EOF>",
    "'=='",
    "'!='",
    "'in'",
    "'<'",
    "'<='",
    "'>='",
    "'>'",
    "'&&'",
    "'||'",
    "'['",
    "']'",
    "'{'",
    "'}'",
    "'('",
    "')'",
    "'.'",
    "','",
    "'-'",
    "'!'",
    "'?'",
    "':'",
    "'+'",
    "'*'",
    "'/'",
    "'%'",
    "'true'",
    "'false'",
    "'null'",
    "NUM_FLOAT",
    "NUM_INT",
    "NUM_UINT",
    "STRING",
    "BYTES",
    "IDENTIFIER",
    "ESC_IDENTIFIER",
];

/// A piece of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A set of kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set(u64);

/// A token that starts at some place.
enum Match {
    Token(Kind, usize),
    Blank(usize),
    /// No token; the text is wrong at this place at the latest.
    Fault(usize),
}

// === impl Set ===

impl Set {
    pub(super) const EMPTY: Set = Set(0);

    pub(super) const fn of(kinds: &[Kind]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < kinds.len() {
            bits |= 1 << kinds[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    pub(super) const fn with(self, other: Set) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// As faults list it: `{'[', '('}`, or one name alone.
    pub(super) fn show(self) -> String {
        let names: Vec<&str> = (0..NAMES.len()).filter(|bit| self.0 & (1 << bit) != 0).map(|bit| NAMES[bit]).collect();
        if names.len() == 1 { names[0].to_owned() } else { format!("{{{}}}", names.join(", ")) }
    }
}

/// The tokens of a text.
pub(super) struct Tokens {
    /// All of them, with one of kind `End` behind the last.
    pub(super) tokens: Vec<Token>,
    /// From where to where the text is no token.
    pub(super) garbage: Vec<(u32, u32)>,
}

/// All tokens; `None` if there are too many faults to go on.
pub(super) fn tokens(source: &Source, issues: &mut Issues, max_faults: usize) -> Option<Tokens> {
    let chars = source.chars();
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut garbage = Vec::new();
    while at < chars.len() {
        match token(chars, at) {
            Match::Token(kind, end) => {
                tokens.push(Token { kind, start: at as u32, end: end as u32 });
                at = end;
            }
            Match::Blank(end) => at = end,
            Match::Fault(end) => {
                if garbage.len() == max_faults {
                    issues.report(
                        source,
                        Some(at as u32),
                        format!("Syntax error: More than {max_faults} syntax errors"),
                    );
                    return None;
                }
                // The character at which no token fits any more is shown and skipped, too.
                let end = (end + 1).min(chars.len());
                let text = source.slice(at as u32, end as u32);
                issues.report(source, Some(at as u32), format!("Syntax error: token recognition error at: '{text}'"));
                garbage.push((at as u32, end as u32));
                at = end;
            }
        }
    }
    let end = chars.len() as u32;
    tokens.push(Token { kind: Kind::End, start: end, end });
    Some(Tokens { tokens, garbage })
}

fn token(chars: &[char], at: usize) -> Match {
    let second = chars.get(at + 1).copied();
    let single = |kind| Match::Token(kind, at + 1);
    let pair = |wanted: char, kind, otherwise| match second {
        Some(c) if c == wanted => Match::Token(kind, at + 2),
        _ => otherwise,
    };
    let none = Match::Fault(at + 1);
    match chars[at] {
        '\t' | ' ' | '\r' | '\n' | '\u{c}' => {
            Match::Blank(run(chars, at, |c| matches!(c, '\t' | ' ' | '\r' | '\n' | '\u{c}')))
        }
        '/' if second == Some('/') => Match::Blank(run(chars, at, |c| c != '\n')),
        '=' => pair('=', Kind::Equal, none),
        '&' => pair('&', Kind::And, none),
        '|' => pair('|', Kind::Or, none),
        '!' => pair('=', Kind::NotEqual, single(Kind::Not)),
        '<' => pair('=', Kind::LessEqual, single(Kind::Less)),
        '>' => pair('=', Kind::GreaterEqual, single(Kind::Greater)),
        '[' => single(Kind::LeftBracket),
        ']' => single(Kind::RightBracket),
        '{' => single(Kind::LeftBrace),
        '}' => single(Kind::RightBrace),
        '(' => single(Kind::LeftParen),
        ')' => single(Kind::RightParen),
        '.' if second.is_some_and(|c| c.is_ascii_digit()) => {
            let end = run(chars, at + 1, |c| c.is_ascii_digit());
            Match::Token(Kind::Float, exponent(chars, end).unwrap_or(end))
        }
        '.' => single(Kind::Dot),
        ',' => single(Kind::Comma),
        '-' => single(Kind::Minus),
        '?' => single(Kind::Question),
        ':' => single(Kind::Colon),
        '+' => single(Kind::Plus),
        '*' => single(Kind::Star),
        '/' => single(Kind::Slash),
        '%' => single(Kind::Percent),
        '`' => quoted_ident(chars, at),
        '"' | '\'' => match string(chars, at) {
            Ok(end) => Match::Token(Kind::String, end),
            Err(wrong) => Match::Fault(wrong),
        },
        c if c.is_ascii_digit() => number(chars, at),
        c if c == '_' || c.is_ascii_alphabetic() => word(chars, at),
        _ => Match::Fault(at),
    }
}

/// Where a run of accepted characters that begins at `at` ends.
fn run(chars: &[char], at: usize, accept: impl Fn(char) -> bool) -> usize {
    at + chars[at..].iter().take_while(|c| accept(**c)).count()
}

fn number(chars: &[char], at: usize) -> Match {
    let unsigned = |end: usize| match chars.get(end) {
        Some('u' | 'U') => Match::Token(Kind::Uint, end + 1),
        _ => Match::Token(Kind::Int, end),
    };
    if chars[at] == '0' && chars.get(at + 1) == Some(&'x') {
        let end = run(chars, at + 2, |c| c.is_ascii_hexdigit());
        if end > at + 2 {
            return unsigned(end);
        }
    }
    let end = run(chars, at, |c| c.is_ascii_digit());
    if chars.get(end) == Some(&'.') && chars.get(end + 1).is_some_and(|c| c.is_ascii_digit()) {
        let end = run(chars, end + 1, |c| c.is_ascii_digit());
        return Match::Token(Kind::Float, exponent(chars, end).unwrap_or(end));
    }
    match exponent(chars, end) {
        Some(end) => Match::Token(Kind::Float, end),
        None => unsigned(end),
    }
}

/// Where an exponent that begins at `at` ends, if there is one.
fn exponent(chars: &[char], at: usize) -> Option<usize> {
    chars.get(at).filter(|c| matches!(c, 'e' | 'E'))?;
    let digits = if matches!(chars.get(at + 1), Some('+' | '-')) { at + 2 } else { at + 1 };
    let end = run(chars, digits.min(chars.len()), |c| c.is_ascii_digit());
    (end > digits).then_some(end)
}

fn word(chars: &[char], at: usize) -> Match {
    let end = run(chars, at, |c| c == '_' || c.is_ascii_alphanumeric());
    // The prefixes of raw strings and bytes are words, too, unless a string follows.
    let prefix = &chars[at..end];
    if prefix.len() <= 2 && matches!(chars.get(end), Some('"' | '\'')) {
        let (is_bytes, is_raw) = match prefix {
            ['b' | 'B'] => (true, false),
            ['r' | 'R'] => (false, true),
            ['b' | 'B', 'r' | 'R'] => (true, true),
            _ => (false, false),
        };
        if is_bytes || is_raw {
            let string_end = if is_raw { raw_string(chars, end) } else { string(chars, end) };
            if let Ok(string_end) = string_end {
                return Match::Token(if is_bytes { Kind::Bytes } else { Kind::String }, string_end);
            }
        }
    }
    let kind = match prefix {
        ['i', 'n'] => Kind::In,
        ['t', 'r', 'u', 'e'] => Kind::True,
        ['f', 'a', 'l', 's', 'e'] => Kind::False,
        ['n', 'u', 'l', 'l'] => Kind::Null,
        _ => Kind::Ident,
    };
    Match::Token(kind, end)
}

fn quoted_ident(chars: &[char], at: usize) -> Match {
    let end = run(chars, at + 1, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' '));
    match chars.get(end) {
        Some('`') if end > at + 1 => Match::Token(Kind::QuotedIdent, end + 1),
        _ => Match::Fault(end),
    }
}

/// Whether three of the quote at `at` stand there.
fn is_triple(chars: &[char], at: usize) -> bool {
    let quote = chars[at];
    chars.get(at + 1) == Some(&quote) && chars.get(at + 2) == Some(&quote)
}

/// Where the string that begins at `at` ends, or where it is wrong.
fn string(chars: &[char], at: usize) -> Result<usize, usize> {
    let quote = chars[at];
    if is_triple(chars, at) {
        let mut next = at + 3;
        while let Some(c) = chars.get(next) {
            match c {
                '\\' => match escape(chars, next) {
                    Ok(end) => next = end,
                    Err(_) => break,
                },
                c if *c == quote && is_triple(chars, next) => return Ok(next + 3),
                _ => next += 1,
            }
        }
        // What is no long string begins with an empty one.
        return Ok(at + 2);
    }
    let mut next = at + 1;
    loop {
        match chars.get(next) {
            Some('\\') => next = escape(chars, next)?,
            Some(c) if *c == quote => return Ok(next + 1),
            Some('\n' | '\r') | None => return Err(next),
            Some(_) => next += 1,
        }
    }
}

fn raw_string(chars: &[char], at: usize) -> Result<usize, usize> {
    let quote = chars[at];
    if is_triple(chars, at) {
        let close = (at + 3..chars.len()).find(|next| chars[*next] == quote && is_triple(chars, *next));
        return Ok(close.map_or(at + 2, |close| close + 3));
    }
    let end = run(chars, at + 1, |c| c != quote && c != '\n' && c != '\r');
    if chars.get(end) == Some(&quote) { Ok(end + 1) } else { Err(end) }
}

/// Where the escape sequence that begins at `at` ends, or where it is wrong.
fn escape(chars: &[char], at: usize) -> Result<usize, usize> {
    let digits = |count: usize, radix: u32| {
        let start = at + 2;
        match (start..start + count).find(|next| !chars.get(*next).is_some_and(|c| c.is_digit(radix))) {
            Some(wrong) => Err(wrong),
            None => Ok(start + count),
        }
    };
    match chars.get(at + 1) {
        Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`') => Ok(at + 2),
        Some('x' | 'X') => digits(2, 16),
        Some('u') => digits(4, 16),
        Some('U') => digits(8, 16),
        Some('0'..='3') => digits(2, 8),
        _ => Err(at + 1),
    }
}
