//! Formats of identifiers, colours and encodings.

/// `base64` in the standard alphabet, padded, not empty.
pub(super) fn is_base64(text: &str) -> bool {
    let body = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_code = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    !text.is_empty() && text.len().is_multiple_of(4) && body.bytes().all(is_code)
}

pub(super) fn is_bson_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12 with or without dashes; a version other than 3 asks for a variant.
pub(super) fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut rest = text;
    let mut digits = String::with_capacity(32);
    for (group, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if group > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((head, tail)) = rest.split_at_checked(length) else { return false };
        digits.push_str(head);
        rest = tail;
    }
    let has_variant = || digits[16..].starts_with(['8', '9', 'a', 'b', 'A', 'B']);
    rest.is_empty()
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && version.is_none_or(|v| digits[12..].starts_with(v) && (v == '3' || has_variant()))
}

pub(super) fn is_isbn(text: &str) -> bool {
    is_isbn10(text) || is_isbn13(text)
}

pub(super) fn is_isbn10(text: &str) -> bool {
    let code = without_spaces_and_dashes(text);
    let Some((digits, last)) = code.split_at_checked(9) else { return false };
    let last = match last {
        "X" => 10,
        _ if last.len() == 1 && last.as_bytes()[0].is_ascii_digit() => u32::from(last.as_bytes()[0] - b'0'),
        _ => return false,
    };
    let Some(values) = values(digits) else { return false };
    let sum: u32 = (1..).zip(values).map(|(weight, value)| weight * value).sum();
    (sum + 10 * last).is_multiple_of(11)
}

pub(super) fn is_isbn13(text: &str) -> bool {
    let code = without_spaces_and_dashes(text);
    let Some(values) = values(&code).filter(|values| values.len() == 13) else { return false };
    let sum: u32 = values[..12].iter().zip([1, 3].iter().cycle()).map(|(value, weight)| value * weight).sum();
    values[12] == (10 - sum % 10) % 10
}

fn without_spaces_and_dashes(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c' | '-')).collect()
}

fn values(digits: &str) -> Option<Vec<u32>> {
    digits.chars().map(|c| c.to_digit(10)).collect()
}

/// Digits of a known issuer with a valid check digit; whatever stands between the digits is passed over.
pub(super) fn is_credit_card(text: &str) -> bool {
    let code: String = text.chars().filter(char::is_ascii_digit).collect();
    let prefix = |length: usize| code.get(..length).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_default();
    let is_known = match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        (4, ..) => matches!(code.len(), 13 | 16),
        (_, 51..=55 | 65 | 35, ..) | (_, _, _, 6011) => code.len() == 16,
        (_, 34 | 37, ..) | (_, _, _, 2131 | 1800) => code.len() == 15,
        (_, 36 | 38, ..) | (_, _, 300..=305, _) => code.len() == 14,
        _ => false,
    };
    let doubled = |value: u32| if value * 2 >= 10 { value * 2 - 9 } else { value * 2 };
    let digits = code.bytes().rev().map(|b| u32::from(b - b'0')).enumerate();
    let sum: u32 = digits.map(|(at, value)| if at % 2 == 1 { doubled(value) } else { value }).sum();
    is_known && sum.is_multiple_of(10)
}

/// Three, two and four digits with a dash or a blank between.
pub(super) fn is_ssn(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |(at, b): (usize, &u8)| if matches!(at, 3 | 6) { matches!(b, b'-' | b' ') } else { b.is_ascii_digit() };
    bytes.len() == 11 && bytes.iter().enumerate().all(fits)
}

pub(super) fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `rgb(0, 128, 255)`.
pub(super) fn is_rgb_color(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) else { return false };
    let is_part = |part: &str| {
        let digits = part.trim_matches([' ', '\t', '\n', '\r', '\x0c']);
        let is_plain = digits == "0" || !digits.starts_with('0');
        is_plain && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u8>().is_ok()
    };
    inner.split(',').count() == 3 && inner.split(',').all(is_part)
}
