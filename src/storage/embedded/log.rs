//! The log in front of the tables: every batch is one checksummed frame, durable with one flush of a file that hardly ever grows.
//!
//! There are two files, used in turns: one is written to while what is in the other is moved into the tables. Both are
//! overwritten in place again and again, so that a flush need not tell the file system anything.
//!
//! # Format
//!
//! Frames begin at multiples of 4096 bytes, the first at 0; what is between them is zero or old. Numbers are little endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `ALG1` |
//! | 4 | CRC-32 of the store's secret and everything in the frame after this field |
//! | 8 | tag: chosen at random whenever a file is begun anew; frames of another tag are leftovers |
//! | 8 | base: the store's revision before the batch |
//! | 8 | last: the store's revision after it |
//! | 8 | flushed: everything before this offset was durable when the frame was written |
//! | 4 | length of what follows |
//! | … | changes: revision (8), number within its transaction (4), length of the key (4), 0 or 1 + length of the value (4), key, value |

//!
//! The secret stands in the tables. It ties the log to them, and keeps whoever writes values from writing frames.

use std::io;

use bytes::Bytes;
use redb::StorageBackend;

use super::layout::RowId;

/// Where frames begin. No sector, nor page of the system's cache, is shared by two of them.
const BLOCK: usize = 4096;
const MAGIC: [u8; 4] = *b"ALG1";
const HEADER: usize = 44;
/// What the checksum does not cover: the magic and itself.
const UNCHECKED: usize = 8;
/// No batch is larger; a length beyond is nonsense.
const MAX_FRAME: usize = 64 << 20;
/// By how much a file grows at least, and at most at once.
const MIN_GROWTH: u64 = 1 << 20;
const MAX_GROWTH: u64 = 16 << 20;

/// A change as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) id: RowId,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Bytes>,
}

/// A batch on its way into the log.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Vec<u8>,
}

/// A batch that was found in the log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) base: u64,
    pub(super) last: u64,
    pub(super) changes: Vec<Logged>,
}

/// One of the two files.
#[derive(Debug)]
pub(super) struct Segment {
    disk: Box<dyn StorageBackend>,
    secret: u64,
    tag: u64,
    /// Where the next frame goes.
    end: u64,
    /// Everything before is durable.
    flushed: u64,
    /// How long the file is.
    allocated: u64,
}

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("read the log")]
    Io(#[from] io::Error),
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

/// The fields of a frame's header.
#[derive(Debug, Clone, Copy)]
struct Header {
    checksum: u32,
    tag: u64,
    base: u64,
    last: u64,
    flushed: u64,
    length: usize,
}

// === impl Frame ===

impl Frame {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; HEADER] }
    }

    pub(super) fn push(&mut self, (revision, index): RowId, key: &[u8], value: Option<&[u8]>) {
        let length = |length: usize| u32::try_from(length).expect("transactions are limited to far less");
        self.bytes.extend_from_slice(&revision.to_le_bytes());
        self.bytes.extend_from_slice(&index.to_le_bytes());
        self.bytes.extend_from_slice(&length(key.len()).to_le_bytes());
        self.bytes.extend_from_slice(&value.map_or(0, |value| length(value.len()) + 1).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// Completes the header, and fills up the last block.
    fn seal(&mut self, secret: u64, tag: u64, (base, last): (u64, u64), flushed: u64) -> &[u8] {
        let length = self.bytes.len();
        let body = u32::try_from(length - HEADER).expect("batches are limited to far less");
        self.bytes[..4].copy_from_slice(&MAGIC);
        for (at, number) in [(8, tag), (16, base), (24, last), (32, flushed)] {
            self.bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        self.bytes[40..HEADER].copy_from_slice(&body.to_le_bytes());
        let checksum = checksum(secret, &self.bytes[UNCHECKED..]);
        self.bytes[4..UNCHECKED].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.resize(length.next_multiple_of(BLOCK), 0);
        &self.bytes
    }
}

// === impl Segment ===

impl Segment {
    /// A file as it was left. [`begin`](Self::begin) before the first frame is appended.
    pub(super) fn open(disk: Box<dyn StorageBackend>, secret: u64) -> io::Result<Self> {
        let allocated = disk.len()?;
        Ok(Self { disk, secret, tag: 0, end: 0, flushed: 0, allocated })
    }

    /// Begins anew: what is in the file counts no more once a frame is written.
    pub(super) fn begin(&mut self, tag: u64) {
        (self.tag, self.end, self.flushed) = (tag, 0, 0);
    }

    /// Forgets all that is in the file, for good.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.disk.set_len(0)?;
        self.disk.sync_data()?;
        (self.end, self.flushed, self.allocated) = (0, 0, 0);
        Ok(())
    }

    /// How much was written since the file was begun.
    pub(super) fn written(&self) -> u64 {
        self.end
    }

    /// Writes a frame that leads from one revision to another. It is durable after [`flush`](Self::flush).
    pub(super) fn append(&mut self, mut frame: Frame, revisions: (u64, u64)) -> io::Result<()> {
        let bytes = frame.seal(self.secret, self.tag, revisions, self.flushed);
        let after = self.end + bytes.len() as u64;
        if after > self.allocated {
            self.grow(after)?;
        }
        self.disk.write(self.end, bytes)?;
        self.end = after;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.disk.sync_data()?;
        self.flushed = self.end;
        Ok(())
    }

    /// Makes the file longer, with real blocks: the zeros are written, not only promised.
    fn grow(&mut self, needed: u64) -> io::Result<()> {
        let from = self.allocated;
        let to = needed.max(from + from.clamp(MIN_GROWTH, MAX_GROWTH)).next_multiple_of(BLOCK as u64);
        self.disk.set_len(to)?;
        let zeros = vec![0; MIN_GROWTH as usize];
        let mut at = from;
        while at < to {
            let length = (to - at).min(MIN_GROWTH);
            self.disk.write(at, &zeros[..length as usize])?;
            at += length;
        }
        self.allocated = to;
        Ok(())
    }

    /// The batches in the file that lead beyond a revision, up to the first that was not written whole, and where that is.
    pub(super) fn read(&self, beyond: u64) -> Result<(Vec<Found>, u64), ReadError> {
        let mut found = Vec::new();
        let (mut at, mut tag) = (0, None);
        // What is in the tables already is passed over unread.
        while let Some(Some(header)) = self.header_at(at)?
            && header.last <= beyond
            && tag.is_none_or(|tag| tag == header.tag)
        {
            tag = Some(header.tag);
            at += header.size();
        }
        while let Some((header, body)) = self.frame_at(at, tag)? {
            tag = Some(header.tag);
            let changes = parse(&body)
                .ok_or_else(|| ReadError::Damaged(format!("the frame at {at} is whole, but makes no sense")))?;
            found.push(Found { base: header.base, last: header.last, changes });
            at += header.size();
        }
        Ok((found, at))
    }

    /// Fails when a frame after the end leads beyond the revision that was reached, and says that the end had been durable.
    pub(super) fn check_rest(&self, end: u64, reached: u64) -> Result<(), ReadError> {
        let mut at = end + BLOCK as u64;
        while let Some(header) = self.header_at(at)? {
            if header.is_some_and(|header| header.last > reached && header.flushed > end)
                && self.frame_at(at, None)?.is_some()
            {
                return Err(ReadError::Damaged(format!("the frame at {end} was durable and cannot be read")));
            }
            // From one that is left over to the next.
            at += header.filter(|header| header.last <= reached).map_or(BLOCK as u64, Header::size);
        }
        Ok(())
    }

    /// The header at an offset, if it looks like one; `None` at the end of the file.
    fn header_at(&self, at: u64) -> io::Result<Option<Option<Header>>> {
        if at + HEADER as u64 > self.allocated {
            return Ok(None);
        }
        let mut bytes = [0; HEADER];
        self.disk.read(at, &mut bytes)?;
        let header = Header::parse(&bytes)
            .filter(|header| header.length <= MAX_FRAME && at + (HEADER + header.length) as u64 <= self.allocated);
        Ok(Some(header))
    }

    /// The frame at an offset, if a whole one of this tag is there.
    fn frame_at(&self, at: u64, tag: Option<u64>) -> io::Result<Option<(Header, Vec<u8>)>> {
        let Some(Some(header)) = self.header_at(at)? else { return Ok(None) };
        if tag.is_some_and(|tag| tag != header.tag) {
            return Ok(None);
        }
        let mut bytes = vec![0; HEADER + header.length];
        self.disk.read(at, &mut bytes)?;
        if checksum(self.secret, &bytes[UNCHECKED..]) != header.checksum {
            return Ok(None);
        }
        Ok(Some((header, bytes.split_off(HEADER))))
    }
}

// === impl Header ===

impl Header {
    /// The bytes from the frame's beginning to the next one's.
    fn size(self) -> u64 {
        (HEADER + self.length).next_multiple_of(BLOCK) as u64
    }

    fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let mut reader = Reader(bytes);
        (reader.take(4)? == MAGIC).then_some(())?;
        let checksum = reader.u32()?;
        let (tag, base, last, flushed) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        Some(Self { checksum, tag, base, last, flushed, length: reader.u32()? as usize })
    }
}

fn checksum(secret: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&secret.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// The changes of a frame; `None` if they are none.
fn parse(body: &[u8]) -> Option<Vec<Logged>> {
    let mut reader = Reader(body);
    let mut changes = Vec::new();
    while !reader.0.is_empty() {
        let id = (reader.u64()?, reader.u32()?);
        let (key, value) = (reader.u32()? as usize, reader.u32()? as usize);
        let key = reader.take(key)?.to_vec();
        let value = match value.checked_sub(1) {
            Some(length) => Some(Bytes::copy_from_slice(reader.take(length)?)),
            None => None,
        };
        changes.push(Logged { id, key, value });
    }
    Some(changes)
}

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    fn frame(revision: u64, size: usize) -> Frame {
        let mut frame = Frame::new();
        frame.push((revision, 0), b"key", Some(&vec![b'x'; size]));
        frame.push((revision, 1), b"gone", None);
        frame
    }

    /// A file with frames that lead from 1 to 2, to 3, and so on, each flushed.
    fn filled(tag: u64, sizes: &[usize]) -> Segment {
        let mut segment = Segment::open(Box::new(InMemoryBackend::new()), 1).unwrap();
        segment.begin(tag);
        for (number, size) in (1..).zip(sizes) {
            segment.append(frame(number + 1, *size), (number, number + 1)).unwrap();
            segment.flush().unwrap();
        }
        segment
    }

    fn revisions(segment: &Segment) -> Vec<(u64, u64)> {
        segment.read(0).unwrap().0.iter().map(|found| (found.base, found.last)).collect()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let segment = filled(7, &[0, 10, 5000, 2 << 20, 1]);
        let (found, _) = segment.read(0).unwrap();
        assert_eq!(revisions(&segment), [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]);
        let value = Some(Bytes::from(vec![b'x'; 5000]));
        assert_eq!(found[2].changes[0], Logged { id: (4, 0), key: b"key".to_vec(), value });
        assert_eq!(found[0].changes[0].value, Some(Bytes::new()), "an empty value is a value");
        assert_eq!(found[2].changes[1], Logged { id: (4, 1), key: b"gone".to_vec(), value: None });
        assert!(Segment::open(Box::new(InMemoryBackend::new()), 1).unwrap().read(0).unwrap().0.is_empty());
    }

    #[test]
    fn leftovers_of_an_earlier_use_do_not_count() {
        let mut segment = filled(7, &[10, 10, 10, 10]);
        segment.begin(8);
        segment.append(frame(10, 10), (9, 10)).unwrap();
        assert_eq!(revisions(&segment), [(9, 10)]);
    }

    #[test]
    fn a_frame_that_was_not_written_whole_ends_the_log() {
        let mut segment = filled(7, &[10, 10]);
        segment.append(frame(4, 9000), (3, 4)).unwrap();
        segment.disk.write(2 * BLOCK as u64 + 5000, b"torn").unwrap();
        assert_eq!(revisions(&segment), [(1, 2), (2, 3)]);
    }

    #[test]
    fn damage_to_what_was_durable_is_found() {
        for block in [0, BLOCK] {
            for at in [1, 5, 20, 50] {
                let segment = filled(7, &[10, 10, 10]);
                segment.disk.write((block + at) as u64, b"!").unwrap();
                let (found, end) = segment.read(0).unwrap();
                assert_eq!((found.len(), end), (block / BLOCK, block as u64));
                let error = segment.check_rest(end, found.last().map_or(1, |found| found.last)).unwrap_err();
                assert!(matches!(error, ReadError::Damaged(_)), "{at}: {error}");
                segment.check_rest(end, 4).expect("leftovers of what was reached are none of it");
            }
        }
    }

    #[test]
    fn a_value_that_looks_like_a_frame_is_none() {
        let mut forged = frame(100, 10);
        let forged = forged.seal(2, 7, (99, 100), 1 << 20).to_vec();
        let mut frame = Frame::new();
        // So that it begins where a frame might.
        let value = [vec![b'x'; BLOCK - HEADER - 20 - 3], forged].concat();
        frame.push((2, 0), b"key", Some(&value));
        let mut segment = Segment::open(Box::new(InMemoryBackend::new()), 1).unwrap();
        segment.begin(7);
        segment.append(frame, (1, 2)).unwrap();
        segment.check_rest(0, 1).unwrap();
    }

    #[test]
    fn a_file_of_anything_is_no_log() {
        for byte in [0, 1, b'A', 0xff] {
            let disk = InMemoryBackend::new();
            disk.set_len(100_000).unwrap();
            disk.write(0, &vec![byte; 100_000]).unwrap();
            assert!(Segment::open(Box::new(disk), 1).unwrap().read(0).unwrap().0.is_empty());
        }
    }
}
