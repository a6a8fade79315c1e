//! What stands in brackets, and the escapes that stand for one character or a class of them.

use regex::Regex;

use super::fault;
use super::translate::{Weighed, literal};

/// A class of ASCII characters costs about as much as two states.
const CLASS_SIZE: usize = 64;
/// A class of the whole of Unicode may need hundreds of states.
const UNICODE_CLASS_SIZE: usize = 8 << 10;

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

const CATEGORIES: [&str; 37] = [
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs", "Any",
];

/// Reads a class from its `[` on; gives what follows it.
pub(super) fn bracketed<'a>(whole: &'a str, out: &mut Weighed) -> Result<&'a str, String> {
    let mut rest = &whole[1..];
    out.push("[", CLASS_SIZE);
    if let Some(after) = rest.strip_prefix('^') {
        out.push("^", 0);
        rest = after;
    }
    let mut first = true;
    loop {
        if !first && let Some(after) = rest.strip_prefix(']') {
            out.push("]", 0);
            return Ok(after);
        }
        first = false;
        rest = match named(rest, out)? {
            Some(after) => after,
            None => range(whole, rest, out)?,
        };
    }
}

/// Reads `[:alpha:]`, `\pL` or `\d` inside brackets.
fn named<'a>(rest: &'a str, out: &mut Weighed) -> Result<Option<&'a str>, String> {
    if let Some(inner) = rest.strip_prefix("[:")
        && let Some(end) = inner.find(":]")
    {
        let name = &inner[..end];
        if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(fault("invalid character class range", &rest[..end + 4]));
        }
        out.push(&rest[..end + 4], CLASS_SIZE);
        return Ok(Some(&inner[end + 2..]));
    }
    if let Some(after) = unicode(rest, out)? {
        return Ok(Some(after));
    }
    Ok(perl(rest, out))
}

/// Reads `\d`, `\s`, `\w` and their opposites, which know ASCII only.
pub(super) fn perl<'a>(rest: &'a str, out: &mut Weighed) -> Option<&'a str> {
    let (class, size) = match rest.get(..2)? {
        r"\d" => ("[0-9]", CLASS_SIZE),
        r"\D" => ("[^0-9]", CLASS_SIZE),
        r"\s" => (r"[\t\n\x0C\r ]", CLASS_SIZE),
        r"\S" => (r"[^\t\n\x0C\r ]", CLASS_SIZE),
        r"\w" => ("[0-9A-Za-z_]", CLASS_SIZE),
        r"\W" => ("[^0-9A-Za-z_]", CLASS_SIZE),
        _ => return None,
    };
    out.push(class, size);
    Some(&rest[2..])
}

/// Reads `\pN`, `\p{Greek}`, `\p{^Greek}` and `\P…`.
pub(super) fn unicode<'a>(rest: &'a str, out: &mut Weighed) -> Result<Option<&'a str>, String> {
    let Some(after) = rest.strip_prefix(r"\p").or_else(|| rest.strip_prefix(r"\P")) else { return Ok(None) };
    let bad = |length: usize| Err(fault("invalid character class range", &rest[..length]));
    let (name, length) = if let Some(inner) = after.strip_prefix('{') {
        let Some(end) = inner.find('}') else { return bad(rest.len()) };
        (&inner[..end], 2 + end + 2)
    } else {
        let Some(first) = after.chars().next() else { return bad(rest.len()) };
        (&after[..first.len_utf8()], 2 + first.len_utf8())
    };
    let (name, negated) = match name.strip_prefix('^') {
        Some(name) => (name, !rest.starts_with(r"\P")),
        None => (name, rest.starts_with(r"\P")),
    };
    let letter = if negated { 'P' } else { 'p' };
    let class = if CATEGORIES.contains(&name) {
        format!(r"\{letter}{{{name}}}")
    } else if name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.len() > 2
    {
        format!(r"\{letter}{{Script={name}}}")
    } else {
        return bad(length);
    };
    if !CATEGORIES.contains(&name) && !out.knows_class(name, || Regex::new(&class).is_ok()) {
        return bad(length);
    }
    out.push(&class, UNICODE_CLASS_SIZE);
    Ok(Some(&rest[length..]))
}

/// Reads one character, or two with a dash between.
fn range<'a>(whole: &'a str, rest: &'a str, out: &mut Weighed) -> Result<&'a str, String> {
    let (low, mut after) = character(whole, rest)?;
    let mut high = low;
    if after.len() >= 2 && after.starts_with('-') && !after.starts_with("-]") {
        (high, after) = character(whole, &after[1..])?;
        if high < low {
            return Err(fault("invalid character class range", &rest[..rest.len() - after.len()]));
        }
    }
    literal(low, out);
    if high != low {
        out.push("-", if high.is_ascii() { 0 } else { UNICODE_CLASS_SIZE / 8 });
        literal(high, out);
    }
    Ok(after)
}

fn character<'a>(whole: &str, rest: &'a str) -> Result<(char, &'a str), String> {
    match rest.chars().next() {
        None => Err(fault("missing closing ]", whole)),
        Some('\\') => escape(rest),
        Some(c) => Ok((c, &rest[c.len_utf8()..])),
    }
}

/// Reads an escape that stands for one character, from its backslash on.
pub(super) fn escape(rest: &str) -> Result<(char, &str), String> {
    let mut chars = rest[1..].chars();
    let Some(c) = chars.next() else { return Err(fault("trailing backslash at end of expression", "")) };
    let after = chars.as_str();
    let simple = match c {
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    };
    let bad = |after: &str| Err(fault("invalid escape sequence", &rest[..rest.len() - after.len()]));
    match (simple, c) {
        (Some(c), _) => Ok((c, after)),
        // One digit alone would be a reference to a group, which Go does not have.
        (None, '1'..='7') if !after.starts_with(|c| ('0'..='7').contains(&c)) => bad(after),
        (None, '0'..='7') => {
            let length = 1 + after.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
            let digits = &rest[1..1 + length];
            let code = u32::from_str_radix(digits, 8).ok().and_then(char::from_u32);
            code.map_or_else(|| bad(after), |c| Ok((c, &rest[1 + length..])))
        }
        (None, 'x') => hexadecimal(rest, after),
        (None, _) => bad(after),
    }
}

fn hexadecimal<'a>(rest: &'a str, after: &'a str) -> Result<(char, &'a str), String> {
    let (digits, length) = match after.strip_prefix('{') {
        Some(inner) => match inner.find('}') {
            Some(end) => (&inner[..end], 2 + end + 2),
            None => return Err(fault("invalid escape sequence", rest)),
        },
        None => (after.get(..2).unwrap_or(""), 4),
    };
    let is_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let code = if is_hex { u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) } else { None };
    let shown = rest.get(..length).unwrap_or(rest);
    code.map(|c| (c, &rest[length..])).ok_or_else(|| fault("invalid escape sequence", shown))
}
