//! One object in the cache: its bytes, and the few fields that reads need, found once when it was written.
//!
//! The spec of some is held together with all others that have the same. Objects are not parsed beyond `metadata`, and nothing here knows what kind an object has.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use atoll_api::LogicalClusterName;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::shared::{self, SharedSpec, Texts};
use crate::storage::key::{Key, Parts, Position};

/// What every value begins with; the resource version is inserted right after it.
pub const VALUE_PREFIX: &[u8] = b"{\"metadata\":{";

/// An object as it was stored at one revision.
///
/// Its fields live in its bytes: what an entry holds beside them are offsets, so it costs about 250 bytes more than its JSON.
pub struct Entry {
    /// The stored JSON, without `metadata.resourceVersion`.
    content: Content,
    /// The revision that put it; the resource version clients see. In a delete event, the revision of the deletion.
    pub revision: u64,
    cluster: LogicalClusterName,
    namespace: Text,
    name: Text,
    uid: Text,
    labels: Box<[(Text, Text)]>,
    deleting: bool,
    /// Boxed once more, since few entries have it and all pay for its size.
    derived: OnceLock<Box<Arc<dyn Any + Send + Sync>>>,
}

/// The labels of an entry, sorted by key.
#[derive(Clone, Copy)]
pub struct Labels<'a> {
    bytes: &'a Bytes,
    labels: &'a [(Text, Text)],
}

/// The bytes of an entry.
#[derive(Clone)]
enum Content {
    /// In one piece.
    Whole(Bytes),
    /// Those around the spec, which is held elsewhere.
    Split(Box<Split>),
}

#[derive(Clone)]
struct Split {
    /// What comes before the spec and what comes after it.
    around: Bytes,
    /// Where the spec belongs.
    at: usize,
    spec: Arc<shared::Text>,
}

/// A piece of text inside an entry's bytes, or beside them when it stands there with escapes.
#[derive(Debug, Clone)]
enum Text {
    Within { start: u32, len: u32 },
    Beside(Box<str>),
}

// === impl Entry ===

impl Entry {
    /// Makes the entry of a value. What its metadata lacks or has in a form that no object has is taken as empty.
    pub fn new(key: &Key, cluster: LogicalClusterName, bytes: Bytes, revision: u64) -> Self {
        let found = Found::read(&bytes);
        // The key is the truth; the text in the object is only a place to point at.
        let keyed = |found: &Option<Word<'_>>, truth: &str| match found {
            Some(Word(text)) if text == truth => Text::of(&bytes, text),
            _ if truth.is_empty() => Text::EMPTY,
            _ => Text::Beside(truth.into()),
        };
        let labels = found.labels.0.iter().map(|(key, value)| (Text::of(&bytes, key), Text::of(&bytes, value)));
        Self {
            revision,
            cluster,
            namespace: keyed(&found.namespace, &key.namespace),
            name: keyed(&found.name, &key.name),
            uid: found.uid.as_ref().map_or(Text::EMPTY, |Word(uid)| Text::of(&bytes, uid)),
            labels: labels.collect(),
            deleting: found.deletion_timestamp.is_some(),
            derived: OnceLock::new(),
            content: Content::Whole(bytes),
        }
    }

    /// The same, with its spec held together with those who have the same.
    ///
    /// Metadata comes first (see [`VALUE_PREFIX`]), so that the fields found in it stay where they are.
    pub(super) fn sharing(mut self, texts: &Arc<Texts>) -> Self {
        if let Content::Whole(bytes) = &self.content
            && bytes.starts_with(VALUE_PREFIX)
            && let Some(spec) = shared::spec_within(bytes)
        {
            let around = [&bytes[..spec.start], &bytes[spec.end..]].concat().into();
            let split = Split { around, at: spec.start, spec: texts.share(&bytes[spec]) };
            self.content = Content::Split(Box::new(split));
        }
        self
    }

    /// The same object as a deletion at `revision` leaves it.
    pub(super) fn deleted_at(&self, revision: u64) -> Self {
        Self {
            content: self.content.clone(),
            revision,
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            labels: self.labels.clone(),
            deleting: self.deleting,
            derived: OnceLock::new(),
        }
    }

    /// The stored JSON, without `metadata.resourceVersion`; put together if the spec is held elsewhere.
    pub fn bytes(&self) -> Bytes {
        match &self.content {
            Content::Whole(bytes) => bytes.clone(),
            Content::Split(_) => self.pieces().concat().into(),
        }
    }

    /// How long these are.
    pub fn size(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// These bytes, at least as far as metadata goes.
    pub fn head(&self) -> &[u8] {
        self.own()
    }

    /// What lies between a head, which ends within metadata, and a suffix, which begins after the spec; if it begins and ends
    /// with them.
    pub fn between(&self, head: &[u8], suffix: &[u8]) -> Option<[&[u8]; 3]> {
        Some(match &self.content {
            Content::Whole(bytes) => [bytes.strip_prefix(head)?.strip_suffix(suffix)?, &[], &[]],
            Content::Split(_) => {
                let [before, spec, after] = self.pieces();
                [before.strip_prefix(head)?, spec, after.strip_suffix(suffix)?]
            }
        })
    }

    /// Whether the bytes end with a suffix, which begins after the spec.
    pub fn ends_with(&self, suffix: &[u8]) -> bool {
        self.between(b"", suffix).is_some()
    }

    /// The spec, if it is held together with others.
    pub fn shared_spec(&self) -> Option<SharedSpec> {
        match &self.content {
            Content::Whole(_) => None,
            Content::Split(split) => Some(split.spec.spec()),
        }
    }

    /// The bytes that are this entry's alone.
    fn own(&self) -> &Bytes {
        match &self.content {
            Content::Whole(bytes) => bytes,
            Content::Split(split) => &split.around,
        }
    }

    fn pieces(&self) -> [&[u8]; 3] {
        match &self.content {
            Content::Whole(bytes) => [bytes, &[], &[]],
            Content::Split(split) => {
                let (before, after) = split.around.split_at(split.at);
                [before, split.spec.as_bytes(), after]
            }
        }
    }

    /// The logical cluster.
    pub fn cluster(&self) -> &LogicalClusterName {
        &self.cluster
    }

    /// The namespace; empty for what has none.
    pub fn namespace(&self) -> &str {
        self.namespace.get(self.own())
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.name.get(self.own())
    }

    /// The uid; empty when the object has none.
    pub fn uid(&self) -> &str {
        self.uid.get(self.own())
    }

    /// The labels.
    pub fn labels(&self) -> Labels<'_> {
        Labels { bytes: self.own(), labels: &self.labels }
    }

    /// Whether the object has a deletion timestamp.
    pub fn is_deleting(&self) -> bool {
        self.deleting
    }

    /// Where the object stands in its resource's order.
    pub fn position(&self) -> Position {
        Position::new(self.cluster.clone(), self.namespace(), self.name())
    }

    /// Appends the object as clients see it, with its resource version.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let [first, spec, last] = self.pieces();
        let Some(rest) = first.strip_prefix(VALUE_PREFIX) else {
            out.extend_from_slice(first);
            return;
        };
        out.reserve(self.json_len());
        out.extend_from_slice(VALUE_PREFIX);
        out.extend_from_slice(RESOURCE_VERSION);
        write_decimal(self.revision, out);
        out.push(b'"');
        if rest.first() != Some(&b'}') {
            out.push(b',');
        }
        out.extend_from_slice(rest);
        out.extend_from_slice(spec);
        out.extend_from_slice(last);
    }

    /// How many bytes [`write_json`](Self::write_json) appends.
    pub fn json_len(&self) -> usize {
        match self.own().strip_prefix(VALUE_PREFIX) {
            None => self.size(),
            Some(rest) => {
                let comma = usize::from(rest.first() != Some(&b'}'));
                self.size() + RESOURCE_VERSION.len() + decimal_len(self.revision) + 1 + comma
            }
        }
    }

    /// The object as clients see it, with its resource version.
    pub fn json(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.json_len());
        self.write_json(&mut out);
        out.into()
    }

    /// What a higher floor makes of this entry, such as compiled rules, made when first asked for and kept as long as the entry.
    ///
    /// An entry keeps one such value. Asking for another type than the one kept makes a value that is not kept.
    pub fn derived<T: Send + Sync + 'static>(&self, make: impl FnOnce(&Self) -> T) -> Arc<T> {
        if let Some(kept) = self.derived.get()
            && let Ok(kept) = Arc::clone(kept).downcast::<T>()
        {
            return kept;
        }
        let made = Arc::new(make(self));
        // Two may make it at once; the first one kept is the one that both return.
        let kept = Arc::clone(self.derived.get_or_init(|| Box::new(made.clone())));
        kept.downcast::<T>().unwrap_or(made)
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            cluster: self.cluster.as_str().as_bytes(),
            namespace: self.namespace.bytes(self.own()),
            name: self.name.bytes(self.own()),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}/{}/{} @ {})", self.cluster, self.namespace(), self.name(), self.revision)
    }
}

const RESOURCE_VERSION: &[u8] = b"\"resourceVersion\":\"";

fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn decimal_len(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

// === impl Labels ===

impl<'a> Labels<'a> {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let index = self.labels.binary_search_by(|(at, _)| at.get(self.bytes).cmp(key)).ok()?;
        Some(self.labels[index].1.get(self.bytes))
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let bytes = self.bytes;
        self.labels.iter().map(move |(key, value)| (key.get(bytes), value.get(bytes)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

// === impl Text ===

impl Text {
    const EMPTY: Self = Self::Within { start: 0, len: 0 };

    /// Points at `text` if it lies within `bytes`, and copies it otherwise.
    fn of(bytes: &Bytes, text: &str) -> Self {
        let start = (text.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        match (u32::try_from(start), u32::try_from(text.len())) {
            (Ok(at), Ok(len)) if start.saturating_add(text.len()) <= bytes.len() => Self::Within { start: at, len },
            _ => Self::Beside(text.into()),
        }
    }

    fn get<'a>(&'a self, bytes: &'a Bytes) -> &'a str {
        match self {
            Self::Within { .. } => {
                std::str::from_utf8(self.bytes(bytes)).expect("the range was taken from a str within these bytes")
            }
            Self::Beside(text) => text,
        }
    }

    fn bytes<'a>(&'a self, bytes: &'a Bytes) -> &'a [u8] {
        match self {
            Self::Within { start, len } => &bytes[*start as usize..*start as usize + *len as usize],
            Self::Beside(text) => text.as_bytes(),
        }
    }
}

// === Reading metadata ===

/// The fields of `metadata` that entries keep.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    #[serde(borrow)]
    name: Option<Word<'a>>,
    #[serde(borrow)]
    namespace: Option<Word<'a>>,
    #[serde(borrow)]
    uid: Option<Word<'a>>,
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(borrow, default)]
    labels: LabelsFound<'a>,
}

#[derive(Default)]
struct LabelsFound<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A string that borrows from its input if it stands there without escapes; serde lets a bare `Cow` borrow as a field only.
#[derive(Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Found<'a> {
    fn read(bytes: &'a Bytes) -> Self {
        if !bytes.starts_with(VALUE_PREFIX) {
            return Self::default();
        }
        // Reading stops where `metadata` ends, so the rest of the object costs nothing.
        let metadata = &bytes[VALUE_PREFIX.len() - 1..];
        Self::deserialize(&mut serde_json::Deserializer::from_slice(metadata)).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for LabelsFound<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;

        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = LabelsFound<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(LabelsFound::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = Vec::with_capacity(map.size_hint().unwrap_or(4));
                while let Some((Word(key), Word(value))) = map.next_entry::<Word<'de>, Word<'de>>()? {
                    labels.push((key, value));
                }
                labels.sort_by(|(a, _), (b, _)| a.cmp(b));
                Ok(LabelsFound(labels))
            }
        }

        deserializer.deserialize_any(LabelsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_api::GroupResource;

    fn entry(namespace: &str, name: &str, json: &str) -> Entry {
        let cluster = LogicalClusterName::parse("c").unwrap();
        let key = Key::new(GroupResource::new("", "pods"), cluster.clone(), namespace, name);
        Entry::new(&key, cluster, Bytes::copy_from_slice(json.as_bytes()), 42)
    }

    #[test]
    fn fields_are_found_in_metadata_only() {
        let json =
            r#"{"metadata":{"labels":{"b":"2","a":"1"},"name":"x","namespace":"n","uid":"u-1"},"spec":{"name":"y"}}"#;
        let entry = entry("n", "x", json);
        assert_eq!((entry.namespace(), entry.name(), entry.uid()), ("n", "x", "u-1"));
        assert_eq!(entry.labels().iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!((entry.labels().get("b"), entry.labels().get("c")), (Some("2"), None));
        assert!(!entry.is_deleting());
        assert!(matches!(entry.name, Text::Within { .. }), "the name is not copied");
        assert!(entry.labels.iter().all(|(k, v)| matches!((k, v), (Text::Within { .. }, Text::Within { .. }))));
    }

    #[test]
    fn escaped_text_is_unescaped() {
        let entry = entry("", "a\"b", r#"{"metadata":{"name":"a\"b","labels":{"k\n":"\u00e9"}}}"#);
        assert_eq!(entry.name(), "a\"b");
        assert_eq!(entry.labels().get("k\n"), Some("é"));
    }

    #[test]
    fn the_key_is_the_truth_about_names() {
        let entry = entry("n", "x", r#"{"metadata":{"name":"other"}}"#);
        assert_eq!((entry.namespace(), entry.name()), ("n", "x"));
    }

    #[test]
    fn odd_metadata_is_taken_as_empty() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"metadata":{"#,
            r#"{"metadata":{"uid":7}}"#,
            r#"{"metadata":{"labels":[]}}"#,
            r#"{"metadata":{"labels":{"a":{}}}}"#,
            r#"{"kind":"X","metadata":{"uid":"u"}}"#,
        ] {
            let entry = entry("n", "x", json);
            assert_eq!((entry.name(), entry.uid(), entry.labels().len()), ("x", "", 0), "{json}");
        }
        assert!(entry("n", "x", r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}"#).is_deleting());
        assert!(!entry("n", "x", r#"{"metadata":{"deletionTimestamp":null,"labels":null}}"#).is_deleting());
    }

    #[test]
    fn the_resource_version_is_spliced_in_after_the_opening_of_metadata() {
        for (json, expect) in [
            (r#"{"metadata":{"name":"x"},"a":1}"#, r#"{"metadata":{"resourceVersion":"42","name":"x"},"a":1}"#),
            (r#"{"metadata":{},"a":1}"#, r#"{"metadata":{"resourceVersion":"42"},"a":1}"#),
            (r#"{"a":1}"#, r#"{"a":1}"#),
        ] {
            let entry = entry("n", "x", json);
            assert_eq!(entry.json(), expect.as_bytes());
            assert_eq!(entry.json_len(), expect.len());
        }
        for number in [0, 9, 10, 99, 100, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
            assert_eq!(out.len(), decimal_len(number));
        }
    }

    #[test]
    fn a_derived_value_is_made_once() {
        let entry = entry("n", "x", "{}");
        let first = entry.derived(|entry| entry.name().to_owned());
        let second: Arc<String> = entry.derived(|_| unreachable!("it is kept"));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(*entry.derived(|_| 7_u32), 7, "another type is made but not kept");
    }

    #[test]
    fn a_spec_is_held_once_as_long_as_somebody_holds_it() {
        let texts = Arc::new(Texts::default());
        let spec = format!(r#"{{"text":"{}"}}"#, "x".repeat(1000));
        let json = |name: &str, spec: &str| {
            format!(r#"{{"metadata":{{"name":"{name}","labels":{{"a":"1"}}}},"spec":{spec},"kind":"X"}}"#)
        };
        let make = |name: &str, spec: &str| entry("", name, &json(name, spec)).sharing(&texts);
        let entries: Vec<Entry> = ["one", "other"].iter().map(|name| make(name, &spec)).collect();
        assert_eq!(texts.held(), (1, spec.len()));
        for shared in &entries {
            let whole = entry("", shared.name(), &json(shared.name(), &spec));
            assert_eq!(shared.bytes(), whole.bytes());
            assert_eq!(
                (shared.json(), shared.json_len(), shared.size()),
                (whole.json(), whole.json_len(), whole.size())
            );
            assert_eq!(shared.labels().get("a"), Some("1"));
            let (head, suffix) = (b"{\"metadata\":{", b",\"kind\":\"X\"}");
            let between = |entry: &Entry| entry.between(head, suffix).map(|pieces| pieces.concat());
            assert!(between(shared).is_some() && between(shared) == between(&whole));
            assert!(shared.ends_with(suffix) && !shared.ends_with(b"Y\"}") && shared.head().starts_with(head));
            assert!(shared.own().len() < 100, "the spec is held elsewhere");
        }
        let parts: Vec<SharedSpec> = entries.iter().filter_map(Entry::shared_spec).collect();
        assert_eq!(parts[0].text.as_ptr(), parts[1].text.as_ptr());
        assert_eq!(parts[0].text, spec);
        drop(entries);
        assert_eq!(texts.held().0, 1, "a part of it is still held");
        drop(parts);
        assert_eq!(texts.held(), (0, 0), "nothing is kept of what nobody holds");
        let again = make("again", &spec).deleted_at(43);
        assert_eq!((texts.held().0, again.json_len()), (1, again.json().len()));
        for (name, spec) in [("short", "{}"), ("none", "null"), ("odd", "x")] {
            assert!(make(name, spec).shared_spec().is_none(), "{name}");
        }
    }

    #[test]
    fn entries_are_small() {
        assert_eq!(std::mem::size_of::<Text>(), 16);
        assert!(std::mem::size_of::<Entry>() <= 144, "{}", std::mem::size_of::<Entry>());
    }
}
