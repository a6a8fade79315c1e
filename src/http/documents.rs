//! Documents that tell clients what a cluster serves, kept between requests as long as nothing of it changes.
//!
//! A document is found by what it is made of, as a number that is computed anew for each request: so it is in step with what is
//! served, however that changed. What is made of built-in kinds alone is shared by all clusters; what tells of a cluster's own kinds is
//! found by that cluster only, so that nobody learns from how soon an answer comes what others have defined. There are few bytes
//! of documents, whoever asks for however many: those that were not asked for longest go first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use atoll_api::{ClusterScope, LogicalClusterName};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

use super::answer;
use super::chain::Asked;
use crate::registry::resource::{Origin, Resource};

/// The most bytes of documents that are kept, those of one kind of document and all clusters together.
const MOST_BYTES: usize = 48 << 20;
/// And the most documents: a look through them is short.
const MOST: usize = 512;

/// The documents last asked for.
#[derive(Default)]
pub struct Documents(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Those asked for last at the end.
    documents: VecDeque<(Name, Document)>,
    bytes: usize,
}

/// What a document is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// What it tells.
    pub(super) form: Form,
    /// What it is made of, as a number.
    pub(super) made_of: [u8; 32],
    /// The cluster that alone may find it.
    pub(super) only_for: Option<LogicalClusterName>,
    /// How its bytes are written.
    pub(super) packing: Packing,
}

/// What a document tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Aggregated discovery of the core group.
    CoreDiscovery,
    /// Aggregated discovery of the other groups.
    Discovery,
    /// The whole API, in OpenAPI 2 as JSON.
    WholeJson,
    /// The same as protobuf.
    WholeProtobuf,
    /// What belongs to one path of OpenAPI 3.
    Part,
}

/// How the bytes of a document are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// As they are.
    Plain,
    /// By gzip.
    Gzip,
}

/// A document as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// Its entity tag, in quotes.
    pub(super) tag: HeaderValue,
}

// === impl Documents ===

impl Documents {
    /// A document that is made if it is not at hand.
    pub(super) fn of(&self, name: &Name, make: impl FnOnce() -> Document) -> Document {
        if let Some(found) = self.find(name) {
            return found;
        }
        // Whoever else asks meanwhile makes it as well; waiting for each other would take longer where it is small.
        let made = make();
        self.keep(name.clone(), made.clone());
        made
    }

    /// The answer with a document, compressed where the client reads that and it pays.
    pub(super) fn answer(
        &self,
        asked: &Asked,
        media_type: &'static str,
        name: &Name,
        document: Document,
    ) -> Response<axum::body::Body> {
        let tag = document.tag.clone();
        let packed = answer::is_packed_for(asked, document.bytes.len())
            .then(|| {
                let name = Name { packing: Packing::Gzip, ..name.clone() };
                self.find(&name).or_else(|| {
                    let packed = Document { bytes: answer::pack(&document.bytes)?, tag: tag.clone() };
                    self.keep(name, packed.clone());
                    Some(packed)
                })
            })
            .flatten();
        let mut response = match packed {
            Some(packed) => {
                let mut response = answer::bytes(StatusCode::OK, media_type, packed.bytes);
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            None => answer::bytes(StatusCode::OK, media_type, document.bytes),
        };
        response.headers_mut().insert(header::ETAG, tag);
        response
    }

    fn find(&self, name: &Name) -> Option<Document> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.documents.iter().rposition(|(known, _)| known == name)?;
        let found = kept.documents.remove(place)?;
        let document = found.1.clone();
        kept.documents.push_back(found);
        Some(document)
    }

    fn keep(&self, name: Name, document: Document) {
        if document.bytes.len() > MOST_BYTES {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What a cluster served before, and what another request has just made.
        kept.forget(|known| known.replaces(&name));
        kept.bytes += document.bytes.len();
        kept.documents.push_back((name, document));
        while kept.bytes > MOST_BYTES || kept.documents.len() > MOST {
            let Some((_, oldest)) = kept.documents.pop_front() else { break };
            kept.bytes -= oldest.bytes.len();
        }
    }
}

// === impl Kept ===

impl Kept {
    fn forget(&mut self, which: impl Fn(&Name) -> bool) {
        let Self { documents, bytes } = self;
        documents.retain(|(name, document)| {
            let goes = which(name);
            *bytes -= if goes { document.bytes.len() } else { 0 };
            !goes
        });
    }
}

// === impl Name ===

impl Name {
    /// The name of a document made of what was hashed.
    pub(super) fn new(form: Form, made_of: Sha256, only_for: Option<LogicalClusterName>) -> Self {
        Self { form, made_of: made_of.finalize().into(), only_for, packing: Packing::Plain }
    }

    /// The number, as clients are told it.
    pub(super) fn hash(&self) -> String {
        self.made_of.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The number as an entity tag.
    pub(super) fn tag(&self) -> HeaderValue {
        quoted(&self.hash())
    }

    /// Whether a document of this name stands where one of another name stood before. A cluster has one discovery, and
    /// one document of the whole API; of the parts there are many.
    fn replaces(&self, other: &Self) -> bool {
        let same_place = self.only_for.is_some() && self.form != Form::Part;
        self.form == other.form
            && self.packing == other.packing
            && self.only_for == other.only_for
            && (same_place || self.made_of == other.made_of)
    }
}

/// The cluster that alone may find what is made of these resources: any may if all of them are built in.
pub(super) fn only_for<'a>(
    scope: &ClusterScope,
    resources: impl IntoIterator<Item = &'a dyn Resource>,
) -> Option<LogicalClusterName> {
    let custom = resources.into_iter().any(|resource| resource.origin() == Origin::Custom);
    scope.one().filter(|_| custom).cloned()
}

/// Adds to a number what a resource is, as far as documents tell of it.
pub(super) fn add(hasher: &mut Sha256, resource: &dyn Resource) {
    let descriptor = resource.descriptor();
    hasher.update(&*descriptor.resource.group);
    hasher.update([0]);
    hasher.update(&*descriptor.resource.resource);
    for version in descriptor.versions.iter().filter(|version| version.served) {
        hasher.update([0]);
        hasher.update(&*version.version.group);
        hasher.update([0]);
        hasher.update(&*version.version.version);
    }
    hasher.update([0xff]);
    hasher.update(resource.definition_hash().unwrap_or_default());
}

/// A hash as an entity tag.
pub(super) fn quoted(hash: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{hash}\"")).expect("hex digits in quotes are a header value")
}

/// Whether a client says that it has what this tag is of, as Go's file server reads it (RFC 9110): any of a list, weak or not.
pub(super) fn has_already(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let given = headers.get(header::IF_NONE_MATCH).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let tag = tag.to_str().unwrap_or_default();
    given.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(form: Form, made_of: u8, only_for: Option<&str>) -> Name {
        let only_for = only_for.map(|name| LogicalClusterName::parse(name).expect("a name"));
        Name { form, made_of: [made_of; 32], only_for, packing: Packing::Plain }
    }

    fn document(size: usize) -> Document {
        Document { bytes: vec![b' '; size].into(), tag: quoted("AB") }
    }

    fn bytes(documents: &Documents) -> usize {
        let kept = documents.0.lock().expect("not poisoned");
        assert_eq!(kept.bytes, kept.documents.iter().map(|(_, document)| document.bytes.len()).sum::<usize>());
        kept.bytes
    }

    #[test]
    fn a_document_is_made_once_and_again_when_what_it_is_made_of_changed() {
        let documents = Documents::default();
        let mut made = 0;
        for made_of in [1, 1, 2, 2, 1] {
            documents.of(&name(Form::Discovery, made_of, Some("a")), || {
                made += 1;
                document(10)
            });
        }
        assert_eq!(made, 3);
        assert_eq!(bytes(&documents), 10, "what the cluster served before is let go");
    }

    #[test]
    fn what_tells_of_a_clusters_own_kinds_is_found_by_that_cluster_only() {
        let documents = Documents::default();
        documents.keep(name(Form::Part, 1, Some("a")), document(1));
        assert!(documents.find(&name(Form::Part, 1, Some("b"))).is_none());
        assert!(documents.find(&name(Form::Part, 1, None)).is_none());
        assert!(documents.find(&name(Form::Part, 1, Some("a"))).is_some());
    }

    #[test]
    fn few_bytes_are_kept_those_asked_for_last() {
        let documents = Documents::default();
        for number in 0..100 {
            documents.keep(name(Form::Part, number, None), document(1 << 20));
            assert!(documents.find(&name(Form::Part, 0, None)).is_some(), "it is asked for all the time");
        }
        assert!(bytes(&documents) <= MOST_BYTES);
        assert!(documents.find(&name(Form::Part, 1, None)).is_none());
        assert!(documents.find(&name(Form::Part, 99, None)).is_some());
        documents.keep(name(Form::WholeJson, 1, None), document(MOST_BYTES + 1));
        assert!(documents.find(&name(Form::WholeJson, 1, None)).is_none(), "larger than all there may be");
        assert!(documents.find(&name(Form::Part, 99, None)).is_some());
    }

    #[test]
    fn clients_name_what_they_have_alone_or_in_a_list() {
        let tag = quoted("AB");
        for (given, expected) in
            [("\"AB\"", true), ("W/\"AB\"", true), ("\"CD\", \"AB\"", true), ("*", true), ("AB", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(given))]);
            assert_eq!(has_already(&headers, &tag), expected, "{given}");
        }
        assert!(!has_already(&HeaderMap::new(), &tag));
    }
}
