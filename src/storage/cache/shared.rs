//! Texts that many objects hold, such as the specs of one definition in many clusters: each is in memory once.
//!
//! A text is known as long as an entry holds it. Whoever writes one cannot learn whether somebody else holds it too: it
//! is hashed and copied in either case, and the copy that is not needed is let go.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use dashmap::DashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// Texts shorter than this are not worth the looking for.
const SHORTEST: usize = 512;

/// The texts that are held.
#[derive(Default)]
pub(super) struct Texts {
    known: DashMap<[u8; 32], Weak<Text>>,
}

/// One of them.
pub(super) struct Text {
    bytes: Box<[u8]>,
    hash: [u8; 32],
    among: Weak<Texts>,
}

/// The spec of an entry, held together with all who have the same.
#[derive(Clone)]
pub struct SharedSpec {
    /// Its text.
    pub text: Bytes,
    /// The SHA-256 of that.
    pub hash: [u8; 32],
}

/// Lets a part of a text be held as bytes.
struct Holder(Arc<Text>);

// === impl Texts ===

impl Texts {
    /// The text that is the same as this one.
    pub(super) fn share(self: &Arc<Self>, text: &[u8]) -> Arc<Text> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        // Before anybody looks whether it is needed, so that it takes as long in either case.
        let copy = Arc::new(Text { bytes: text.into(), hash, among: Arc::downgrade(self) });
        // The copy that is not needed is dropped after the entry is let go of, which its drop asks for.
        let known = {
            let mut entry = self.known.entry(hash).or_default();
            let known = entry.upgrade();
            if known.is_none() {
                *entry = Arc::downgrade(&copy);
            }
            known
        };
        known.unwrap_or(copy)
    }

    /// How many there are, and how long they are together.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let texts: Vec<_> = self.known.iter().filter_map(|known| known.upgrade()).collect();
        assert_eq!(texts.len(), self.known.len(), "nothing is known of what is gone");
        (texts.len(), texts.iter().map(|text| text.bytes.len()).sum())
    }
}

// === impl Text ===

impl Text {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn spec(self: &Arc<Self>) -> SharedSpec {
        SharedSpec { text: Bytes::from_owner(Holder(self.clone())), hash: self.hash }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // Unless the same came again in the meantime.
        if let Some(among) = self.among.upgrade() {
            among.known.remove_if(&self.hash, |_, known| known.strong_count() == 0);
        }
    }
}

impl AsRef<[u8]> for Holder {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// Where the spec stands in the text of an object, if it is worth sharing.
pub(super) fn spec_within(object: &[u8]) -> Option<std::ops::Range<usize>> {
    #[derive(Deserialize)]
    struct Found<'a> {
        #[serde(borrow)]
        spec: Option<&'a RawValue>,
    }
    let spec = serde_json::from_slice::<Found<'_>>(object).ok()?.spec?.get();
    let start = (spec.as_ptr() as usize).checked_sub(object.as_ptr() as usize)?;
    (spec.len() >= SHORTEST).then(|| start..start + spec.len())
}
