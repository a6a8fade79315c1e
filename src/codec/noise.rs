//! Repeatable noise for tests: numbers without a pattern, and inputs with random damage.
//!
//! The same in every run, so that a failure can be looked at again.

/// A small generator of numbers (xorshift).
pub(crate) struct Noise(u64);

impl Default for Noise {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below a limit; 0 below 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// An input with one to three bytes changed, inserted, removed or repeated, in many ways.
pub(crate) fn damaged(input: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let input = input.to_vec();
    let mut noise = Noise::default();
    (0..count).map(move |_| {
        let mut bytes = input.clone();
        for _ in 0..=noise.below(3) {
            let (at, byte) = (noise.below(bytes.len()), noise.below(256) as u8);
            match noise.below(5) {
                0 if !bytes.is_empty() => bytes[at] = byte,
                1 if !bytes.is_empty() => {
                    bytes.remove(at);
                }
                2 => bytes.insert(at, byte),
                3 => bytes.truncate(at),
                _ => {
                    let end = (at + noise.below(8)).min(bytes.len());
                    let piece = bytes[at.min(end)..end].to_vec();
                    bytes.extend(piece);
                }
            }
        }
        bytes
    })
}
