//! The wire format: tags, varints, fixed and length-delimited fields.

use super::ProtobufError;

/// The value of one field as it stands on the wire.
#[derive(Debug, Clone, Copy)]
enum WireValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Of no use to Kubernetes, so its value is dropped.
    Fixed32,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireField<'a> {
    pub(super) number: u32,
    value: WireValue<'a>,
}

impl<'a> WireField<'a> {
    fn wrong_type<T>(&self) -> Result<T, ProtobufError> {
        let kind = match self.value {
            WireValue::Varint(_) => 0,
            WireValue::Fixed64(_) => 1,
            WireValue::Bytes(_) => 2,
            WireValue::Fixed32 => 5,
        };
        malformed(format!("proto: wrong wireType = {kind} for field {}", self.number))
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], ProtobufError> {
        match self.value {
            WireValue::Bytes(bytes) => Ok(bytes),
            _ => self.wrong_type(),
        }
    }

    pub(super) fn is_bytes(&self) -> bool {
        matches!(self.value, WireValue::Bytes(_))
    }

    pub(super) fn varint(&self) -> Result<u64, ProtobufError> {
        match self.value {
            WireValue::Varint(value) => Ok(value),
            _ => self.wrong_type(),
        }
    }

    pub(super) fn double(&self) -> Result<f64, ProtobufError> {
        match self.value {
            WireValue::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => self.wrong_type(),
        }
    }
}

/// Reads the fields of a message one by one.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn next_field(&mut self) -> Result<Option<WireField<'a>>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number != 0);
        let Some(number) = number else {
            return malformed(format!("proto: illegal tag {} (wire type {})", tag >> 3, tag & 7));
        };
        let value = match tag & 7 {
            0 => WireValue::Varint(self.varint()?),
            1 => WireValue::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                WireValue::Bytes(self.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            5 => self.array::<4>().map(|_| WireValue::Fixed32)?,
            // Groups are of a time before Kubernetes.
            kind => return malformed(format!("proto: illegal wireType {kind}")),
        };
        Ok(Some(WireField { number, value }))
    }

    pub(super) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        malformed("proto: integer overflow".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return malformed("unexpected EOF".to_owned());
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtobufError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("as many bytes as were taken"))
    }
}

/// Writes fields one after the other.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn with_prefix(prefix: &[u8]) -> Self {
        Self { bytes: prefix.to_vec() }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tag(&mut self, number: u32, kind: u64) {
        self.raw_varint(u64::from(number) << 3 | kind);
    }

    pub(super) fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.raw_varint(value);
    }

    pub(super) fn double(&mut self, number: u32, value: f64) {
        self.tag(number, 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, number: u32, value: &[u8]) {
        self.tag(number, 2);
        self.raw_varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, number: u32, value: &str) {
        self.bytes(number, value.as_bytes());
    }

    /// A message as a field.
    pub(super) fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let start = self.begin(number);
        write(self);
        self.end(start);
    }

    /// Begins a message as a field; [`Writer::end`] ends it.
    pub(super) fn begin(&mut self, number: u32) -> usize {
        self.tag(number, 2);
        self.bytes.len()
    }

    /// Ends the message that began at `start`, by putting its length before it.
    pub(super) fn end(&mut self, start: usize) {
        let end = self.bytes.len();
        self.raw_varint((end - start) as u64);
        let length = self.bytes.len() - end;
        self.bytes[start..].rotate_right(length);
    }

    /// How much is written; with [`Writer::forget`] what was written since is taken back.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn forget(&mut self, length: usize) {
        self.bytes.truncate(length);
    }
}

/// Bytes as text; what is not UTF-8 becomes U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn malformed<T>(message: String) -> Result<T, ProtobufError> {
    Err(ProtobufError::Malformed(message))
}
