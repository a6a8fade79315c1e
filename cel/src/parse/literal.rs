//! The values of string and bytes literals. The lexer has already seen that quotes and escapes are complete.

/// What an escape stands for.
enum Piece {
    Char(char),
    /// A byte of a bytes literal.
    Byte(u8),
}

const MALFORMED: &str = "unable to unescape string";
const NO_CODE_POINT: &str = "invalid unicode code point";

/// The value of a string literal.
pub(super) fn string(text: &str) -> Result<String, &'static str> {
    let normalized = normalize(text);
    let (content, is_raw) = strip(&normalized)?;
    if is_raw {
        return Ok(content.to_owned());
    }
    let mut value = String::with_capacity(content.len());
    unescape(content, false, |piece| match piece {
        Piece::Char(c) => value.push(c),
        Piece::Byte(byte) => value.push(char::from(byte)),
    })?;
    Ok(value)
}

/// The value of a bytes literal, its prefix `b` included.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let normalized = normalize(&text[1..]);
    let (content, is_raw) = strip(&normalized)?;
    if is_raw {
        return Ok(content.as_bytes().to_vec());
    }
    let mut value = Vec::with_capacity(content.len());
    unescape(content, true, |piece| match piece {
        Piece::Char(c) => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        Piece::Byte(byte) => value.push(byte),
    })?;
    Ok(value)
}

/// All line ends become `\n`.
fn normalize(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

/// Takes prefix and quotes off; tells whether the literal is raw.
fn strip(text: &str) -> Result<(&str, bool), &'static str> {
    let (quoted, is_raw) = match text.strip_prefix(['r', 'R']) {
        Some(quoted) => (quoted, true),
        None => (text, false),
    };
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(content) = quoted.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Ok((content, is_raw));
        }
    }
    Err(MALFORMED)
}

fn unescape(content: &str, as_bytes: bool, mut push: impl FnMut(Piece)) -> Result<(), &'static str> {
    let mut rest = content;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            push(Piece::Char(c));
            continue;
        }
        let escape = rest.chars().next().ok_or(MALFORMED)?;
        rest = &rest[escape.len_utf8()..];
        let (digits, radix) = match escape {
            'x' | 'X' => (2, 16),
            'u' if !as_bytes => (4, 16),
            'U' if !as_bytes => (8, 16),
            '0'..='3' => (3, 8),
            _ => {
                push(Piece::Char(simple(escape).ok_or(MALFORMED)?));
                continue;
            }
        };
        // The first octal digit was taken as the escape.
        let tail = if radix == 8 { digits - 1 } else { digits };
        let number = rest.get(..tail).ok_or(MALFORMED)?;
        let mut code = u32::from_str_radix(number, radix).map_err(|_| MALFORMED)?;
        if radix == 8 {
            code += escape.to_digit(8).unwrap_or_default() * 64;
        }
        rest = &rest[tail..];
        if as_bytes {
            push(Piece::Byte(code as u8));
        } else {
            push(Piece::Char(char::from_u32(code).ok_or(NO_CODE_POINT)?));
        }
    }
    Ok(())
}

fn simple(escape: char) -> Option<char> {
    Some(match escape {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '\'' | '"' | '`' | '?' => escape,
        _ => return None,
    })
}
