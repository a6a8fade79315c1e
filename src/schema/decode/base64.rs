//! Base64 as Go's decoder takes it: line breaks are passed over, the offset of a fault is told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The canonical form of a text in base64, or Go's fault.
pub(super) fn canonical(text: &str) -> Result<String, String> {
    Ok(STANDARD.encode(decode(text.as_bytes())?))
}

/// Bytes in base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn decode(source: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(source.len() / 4 * 3);
    let mut rest = Rest { source, at: 0 };
    while let Some(group) = rest.group()? {
        bytes.extend_from_slice(&group);
    }
    Ok(bytes)
}

struct Rest<'a> {
    source: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    /// Reads four characters; `None` at the end.
    fn group(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut digits = Vec::with_capacity(4);
        while digits.len() < 4 {
            let Some(byte) = self.next() else {
                return if digits.is_empty() { Ok(None) } else { Err(fault(self.at - digits.len())) };
            };
            match value_of(byte) {
                Some(value) => digits.push(value),
                None if byte == b'=' => {
                    self.padding(digits.len())?;
                    break;
                }
                None => return Err(fault(self.at - 1)),
            }
        }
        let length = digits.len();
        let all = digits.iter().fold(0_u32, |all, digit| all << 6 | u32::from(*digit)) << (6 * (4 - length));
        Ok(Some(all.to_be_bytes()[1..length].to_vec()))
    }

    /// Reads what may follow a first `=`, after so many digits of its group.
    fn padding(&mut self, digits: usize) -> Result<(), String> {
        if digits < 2 {
            return Err(fault(self.at - 1));
        }
        if digits == 2 {
            self.skip_line_breaks();
            match self.source.get(self.at) {
                None => return Err(fault(self.source.len())),
                Some(b'=') => self.at += 1,
                Some(_) => return Err(fault(self.at - 1)),
            }
        }
        self.skip_line_breaks();
        if self.at < self.source.len() { Err(fault(self.at)) } else { Ok(()) }
    }

    fn next(&mut self) -> Option<u8> {
        self.skip_line_breaks();
        let byte = self.source.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn skip_line_breaks(&mut self) {
        while matches!(self.source.get(self.at), Some(b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

fn value_of(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

fn fault(offset: usize) -> String {
    format!("illegal base64 data at input byte {offset}")
}
