//! Archives: what a cluster or a whole store held at one revision, as one stream of bytes that tells when it is damaged.
//!
//! # Format 1
//!
//! The eight bytes `ATOLLAR1`, then frames to the end; numbers are little endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | `H` header, `R` records, `E` end |
//! | 4 | length of the body |
//! | 4 | CRC-32 of kind, length and body |
//! | … | body: JSON of [`Header`]; records, compressed by zlib; JSON of [`End`] |
//!
//! The header comes first, the end last, with the SHA-256 of every byte before its frame. A record is its revision (8), the length of its key (4), 0 or 1 +
//! the length of its value (4), key and value; 0 says that the value is that of the archive this one builds on, with the
//! same revision, and is followed by the key and the value's CRC-32 (4). Keys are those of the store, `/atoll/<group>/<resource>/<cluster>/<namespace>/<name>`, each once.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const MAGIC: [u8; 8] = *b"ATOLLAR1";
/// The version of the format.
const FORMAT: u32 = 1;
/// How many bytes of records a frame has before they are compressed.
const FRAME: usize = 512 << 10;
/// No frame is longer, compressed or not; a length beyond is nonsense.
const MAX_FRAME: usize = 64 << 20;

/// What an archive says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The version of the format.
    pub format: u32,
    /// Of what it is.
    pub of: Subject,
    /// The uid of the store it was taken from.
    pub store: String,
    /// The revision of which it is the state.
    pub revision: u64,
    /// The revision of the archive it builds on; none if it stands by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// When it was taken (RFC 3339).
    pub taken: String,
    /// What else is to be known, by name: the workspace of a cluster, the keys of a server.
    #[serde(default)]
    pub notes: BTreeMap<String, String>,
}

/// Of what an archive is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// Everything.
    #[default]
    Store,
    /// One logical cluster.
    Cluster {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
}

/// How an archive ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many records it has.
    pub records: u64,
    /// The bytes of their values.
    pub bytes: u64,
    /// The SHA-256 of everything before, in hex.
    pub sha256: String,
}

/// One value of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The encoded key.
    pub key: Vec<u8>,
    /// The revision that put the value.
    pub revision: u64,
    /// The value.
    pub value: Kept<Bytes>,
}

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<V, W = u32> {
    /// Here.
    Here(V),
    /// In the archive this one builds on; its checksum, or what that is made of.
    Before(W),
}

/// The checksum by which a value is known that is in an earlier archive.
pub fn checksum_of(value: &[u8]) -> u32 {
    crc32fast::hash(value)
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It could not be read at all.
    #[error("the archive cannot be read")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("this is no archive of Atoll")]
    Foreign,
    /// A later version of the program wrote it.
    #[error("the archive has format {0}, and this program reads format {FORMAT}; use the release that wrote it")]
    Format(u32),
    /// It is not as it was written.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
}

/// Writes an archive, piece by piece.
pub struct Archiver {
    raw: Vec<u8>,
    hash: Sha256,
    records: u64,
    bytes: u64,
}

/// Reads an archive, and checks it on the way.
pub struct ArchiveReader<R> {
    from: R,
    hash: Sha256,
    records: u64,
    bytes: u64,
    /// What is left of the frame at hand.
    frame: Vec<u8>,
    at: usize,
    end: Option<End>,
}

// === impl Archiver ===

impl Archiver {
    /// Begins an archive; gives its first bytes.
    pub fn begin(mut header: Header) -> (Self, Vec<u8>) {
        header.format = FORMAT;
        let mut archiver = Self { raw: Vec::new(), hash: Sha256::new(), records: 0, bytes: 0 };
        let mut out = MAGIC.to_vec();
        out.extend(frame(b'H', &json(&header)));
        archiver.hash.update(&out);
        (archiver, out)
    }

    /// Adds a record; gives bytes whenever there are enough for a frame.
    pub fn add(&mut self, key: &[u8], revision: u64, value: Kept<&[u8], &[u8]>) -> Option<Vec<u8>> {
        let length = |length: usize| u32::try_from(length).expect("keys and values are limited to far less");
        self.raw.extend_from_slice(&revision.to_le_bytes());
        self.raw.extend_from_slice(&length(key.len()).to_le_bytes());
        match value {
            Kept::Here(value) => {
                self.raw.extend_from_slice(&(length(value.len()) + 1).to_le_bytes());
                self.raw.extend_from_slice(key);
                self.raw.extend_from_slice(value);
                self.bytes += value.len() as u64;
            }
            Kept::Before(value) => {
                self.raw.extend_from_slice(&0_u32.to_le_bytes());
                self.raw.extend_from_slice(key);
                self.raw.extend_from_slice(&checksum_of(value).to_le_bytes());
            }
        }
        self.records += 1;
        (self.raw.len() >= FRAME).then(|| self.flush())
    }

    /// Gives the last bytes, and how it ended.
    pub fn finish(mut self) -> (Vec<u8>, End) {
        let mut out = if self.raw.is_empty() { Vec::new() } else { self.flush() };
        let end = End { records: self.records, bytes: self.bytes, sha256: hex(self.hash) };
        out.extend(frame(b'E', &json(&end)));
        (out, end)
    }

    fn flush(&mut self) -> Vec<u8> {
        let mut body = ZlibEncoder::new(Vec::with_capacity(self.raw.len() / 4), Compression::fast());
        let written = body.write_all(&self.raw).and_then(|()| body.finish());
        self.raw.clear();
        let out = frame(b'R', &written.expect("writing to memory does not fail"));
        self.hash.update(&out);
        out
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers can be written as JSON")
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("frames are limited to far less").to_le_bytes();
    let mut out = Vec::with_capacity(body.len() + 9);
    out.push(kind);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(kind, length, body).to_le_bytes());
    out.extend_from_slice(body);
    out
}

fn checksum(kind: u8, length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}

// === impl ArchiveReader ===

impl<R: Read> ArchiveReader<R> {
    /// Reads what an archive says of itself.
    pub fn open(mut from: R) -> Result<(Header, Self), ArchiveError> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic).map_err(|_| ArchiveError::Foreign)?;
        if magic != MAGIC {
            return Err(ArchiveError::Foreign);
        }
        let mut hash = Sha256::new();
        hash.update(magic);
        let mut reader = Self { from, hash, records: 0, bytes: 0, frame: Vec::new(), at: 0, end: None };
        let (kind, whole, body) = reader.next_frame()?;
        if kind != b'H' {
            return Err(ArchiveError::Damaged("it has no header".into()));
        }
        reader.hash.update(&whole);
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let bad = |error: serde_json::Error| ArchiveError::Damaged(format!("its header: {error}"));
        let version: Version = serde_json::from_slice(&body).map_err(bad)?;
        if version.format != FORMAT {
            return Err(ArchiveError::Format(version.format));
        }
        Ok((serde_json::from_slice(&body).map_err(bad)?, reader))
    }

    /// The next record; none when all were read and everything was as it was written.
    pub fn next_record(&mut self) -> Result<Option<Archived>, ArchiveError> {
        while self.at == self.frame.len() {
            if self.end.is_some() {
                return Ok(None);
            }
            self.take_frame()?;
        }
        let mut rest = &self.frame[self.at..];
        let record = split_record(&mut rest);
        let record = record.ok_or_else(|| ArchiveError::Damaged("a record is longer than its frame".into()))?;
        self.at = self.frame.len() - rest.len();
        self.records += 1;
        if let Kept::Here(value) = &record.value {
            self.bytes += value.len() as u64;
        }
        Ok(Some(record))
    }

    /// How it ended, once all was read.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn take_frame(&mut self) -> Result<(), ArchiveError> {
        let (kind, whole, body) = self.next_frame()?;
        match kind {
            b'R' => {
                self.hash.update(&whole);
                let mut raw = Vec::new();
                let decoded = ZlibDecoder::new(&*body).take(MAX_FRAME as u64 + 1).read_to_end(&mut raw);
                decoded.map_err(|error| ArchiveError::Damaged(format!("a frame cannot be decompressed: {error}")))?;
                if raw.len() > MAX_FRAME {
                    return Err(ArchiveError::Damaged("a frame is far too long".into()));
                }
                (self.frame, self.at) = (raw, 0);
                Ok(())
            }
            b'E' => {
                let end: End = serde_json::from_slice(&body)
                    .map_err(|error| ArchiveError::Damaged(format!("its end: {error}")))?;
                if (end.records, end.bytes) != (self.records, self.bytes) || end.sha256 != hex(self.hash.clone()) {
                    return Err(ArchiveError::Damaged("its end speaks of other content".into()));
                }
                self.end = Some(end);
                Ok(())
            }
            other => Err(ArchiveError::Damaged(format!("a frame of kind {other} is not known"))),
        }
    }

    /// A frame's kind, all of its bytes, and its body.
    fn next_frame(&mut self) -> Result<(u8, Vec<u8>, Vec<u8>), ArchiveError> {
        let short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Damaged("it ends too early".into()),
            _ => ArchiveError::Io(error),
        };
        let mut head = [0; 9];
        self.from.read_exact(&mut head).map_err(short)?;
        let length = [head[1], head[2], head[3], head[4]];
        let size = u32::from_le_bytes(length) as usize;
        if size > MAX_FRAME {
            return Err(ArchiveError::Damaged("a frame is far too long".into()));
        }
        let mut body = Vec::new();
        let read = (&mut self.from).take(size as u64).read_to_end(&mut body).map_err(short)?;
        if read < size {
            return Err(ArchiveError::Damaged("it ends too early".into()));
        }
        if checksum(head[0], length, &body).to_le_bytes() != head[5..] {
            return Err(ArchiveError::Damaged("a checksum does not fit".into()));
        }
        Ok((head[0], [&head[..], &body].concat(), body))
    }
}

fn split_record(rest: &mut &[u8]) -> Option<Archived> {
    let revision = u64::from_le_bytes(*take(rest, 8)?.first_chunk()?);
    let key = u32::from_le_bytes(*take(rest, 4)?.first_chunk()?) as usize;
    let value = u32::from_le_bytes(*take(rest, 4)?.first_chunk()?) as usize;
    let key = take(rest, key)?.to_vec();
    let value = match value.checked_sub(1) {
        Some(length) => Kept::Here(Bytes::copy_from_slice(take(rest, length)?)),
        None => Kept::Before(u32::from_le_bytes(*take(rest, 4)?.first_chunk()?)),
    };
    Some(Archived { key, revision, value })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(records: &[(&str, u64, Option<&str>)]) -> Vec<u8> {
        let header = Header { revision: 9, since: Some(3), ..Header::default() };
        let (mut archiver, mut out) = Archiver::begin(header);
        for (key, revision, value) in records {
            let value = value.map_or(Kept::Before(&b"old"[..]), |value| Kept::Here(value.as_bytes()));
            out.extend(archiver.add(key.as_bytes(), *revision, value).unwrap_or_default());
        }
        let (rest, end) = archiver.finish();
        assert_eq!(end.records, records.len() as u64);
        out.extend(rest);
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Archived>, ArchiveError> {
        let (header, mut reader) = ArchiveReader::open(bytes)?;
        assert_eq!((header.revision, header.since), (9, Some(3)));
        let mut found = Vec::new();
        while let Some(record) = reader.next_record()? {
            found.push(record);
        }
        assert!(reader.end().is_some());
        Ok(found)
    }

    /// Key, revision and value of a record.
    type Shown<'a> = (&'a [u8], u64, Kept<&'a [u8]>);

    #[test]
    fn what_was_written_is_read_back() {
        let large = "x".repeat(FRAME);
        let records = [
            ("a", 1, Some("one")),
            ("b", 2, None),
            ("c", 3, Some("")),
            ("d", 4, Some(large.as_str())),
            ("e", 5, Some("z")),
        ];
        let found = read(&archive(&records)).unwrap();
        let shown: Vec<Shown<'_>> = found
            .iter()
            .map(|one| {
                let value = match &one.value {
                    Kept::Here(value) => Kept::Here(&value[..]),
                    Kept::Before(checksum) => Kept::Before(*checksum),
                };
                (&one.key[..], one.revision, value)
            })
            .collect();
        let expected: Vec<Shown<'_>> = records
            .iter()
            .map(|(key, revision, value)| {
                let value = value.map_or(Kept::Before(checksum_of(b"old")), |value| Kept::Here(value.as_bytes()));
                (key.as_bytes(), *revision, value)
            })
            .collect();
        assert_eq!(shown, expected);
        assert!(read(&archive(&[])).unwrap().is_empty());
    }

    #[test]
    fn every_changed_byte_and_every_missing_end_is_found() {
        let whole = archive(&[("a", 1, Some("one")), ("b", 2, Some("two"))]);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(read(&damaged).is_err(), "byte {at}");
            assert!(read(&whole[..at]).is_err(), "cut off at {at}");
        }
        assert!(matches!(read(b"something else"), Err(ArchiveError::Foreign)));
    }

    #[test]
    fn frames_that_were_left_out_or_exchanged_are_missed() {
        let large = "x".repeat(FRAME);
        let whole = archive(&[("a", 1, Some(large.as_str())), ("b", 2, Some(large.as_str()))]);
        let mut starts = vec![8];
        while let Some(length) = whole.get(starts[starts.len() - 1] + 1..starts[starts.len() - 1] + 5) {
            starts.push(starts[starts.len() - 1] + 9 + u32::from_le_bytes(*length.first_chunk().unwrap()) as usize);
        }
        let part = |number: usize| &whole[starts[number]..starts[number + 1]];
        let (head, end) = (&whole[..starts[1]], part(3));
        assert!(read(&[head, part(1), part(2), end].concat()).is_ok());
        assert!(read(&[head, part(1), end].concat()).is_err());
        assert!(read(&[head, part(2), part(1), end].concat()).is_err());
    }
}
