//! What becomes of identities in a copy of a cluster: nobody and nothing of the source is anything in the copy, nor the
//! other way round.
//!
//! Objects get uids of their own, each made from that of its origin and of the new cluster, so that every reference within
//! the cluster (owners, claims, the fields that `managedFields` names) still leads where it led. Secrets lose the tokens that the
//! server itself had put there: they are good in the source.

use std::collections::HashSet;

use atoll_api::{GroupResource, Object};
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::StoredForm;
use crate::storage::Entry;

/// How long uids are that the server makes: those of any other length are nobody's.
const UID: usize = 36;
/// The type of secrets that hold a token of a service account.
const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";

/// New uids for the objects of one cluster.
pub(super) struct NewIdentities {
    /// The uid of the cluster they are for.
    cluster: String,
    known: HashSet<[u8; UID]>,
}

impl NewIdentities {
    /// New uids in the cluster of this uid, for objects with these.
    pub(super) fn new<'a>(cluster: &str, uids: impl Iterator<Item = &'a str>) -> Self {
        let known = uids.filter_map(|uid| uid.as_bytes().try_into().ok()).collect();
        Self { cluster: cluster.to_owned(), known }
    }

    /// An object's value with new uids, wherever a field whose name ends in `uid` has that of an object of the cluster.
    pub(super) fn renew(&self, value: &[u8]) -> Bytes {
        let mut out = value.to_vec();
        let mut at = 0;
        while at + UID + 1 < value.len() {
            match self.uid_at(value, at) {
                Some(old) => {
                    out[at + 1..=at + UID].copy_from_slice(&self.new_uid(old));
                    at += UID + 1;
                }
                None => at += 1,
            }
        }
        out.into()
    }

    /// The known uid that stands, quoted, at a place, if the name of its field says that it is one. Within texts that are
    /// JSON themselves, such as the keys of `managedFields`, quotes have a backslash before them.
    fn uid_at(&self, value: &[u8], at: usize) -> Option<&[u8; UID]> {
        if value[at] != b'"' || !matches!(value[at + 1 + UID], b'"' | b'\\') || value[at + 9] != b'-' {
            return None;
        }
        let before = value[..at].strip_suffix(b"\\").unwrap_or(&value[..at]).strip_suffix(b":")?;
        let before = before.strip_suffix(b"\"")?;
        let field = before.strip_suffix(b"\\").unwrap_or(before);
        let ends_in_uid = field.len() >= 3 && field[field.len() - 3..].eq_ignore_ascii_case(b"uid");
        let uid: &[u8; UID] = value[at + 1..=at + UID].try_into().ok()?;
        if ends_in_uid { self.known.get(uid) } else { None }
    }

    /// The uid in the new cluster of what had this one: the same one whenever it is asked for, and nobody else's.
    fn new_uid(&self, old: &[u8; UID]) -> [u8; UID] {
        let mut hash = Sha256::new();
        hash.update(self.cluster.as_bytes());
        hash.update(old);
        let digest = hash.finalize();
        let bytes = digest.first_chunk::<16>().expect("a digest has 32 bytes");
        let mut uid = [0; UID];
        uuid::Builder::from_custom_bytes(*bytes).into_uuid().hyphenated().encode_lower(&mut uid);
        uid
    }
}

/// The value of a secret without the token that the server had put there; nothing if there is none. Who looks after such
/// secrets puts one of the new cluster there.
pub(super) fn without_token(resource: &GroupResource, entry: &Entry, stored_form: StoredForm) -> Option<Bytes> {
    if !resource.group.is_empty() || &*resource.resource != "secrets" {
        return None;
    }
    let mut secret: Object = serde_json::from_slice(&entry.bytes()).ok()?;
    if secret.text_at(&["type"]) != TOKEN_SECRET {
        return None;
    }
    secret.0.get_mut("data").and_then(Value::as_object_mut)?.remove("token")?;
    stored_form(&secret).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "11111111-2222-4333-8444-555555555555";
    const B: &str = "99999999-2222-4333-8444-555555555555";

    fn renewed(value: &str) -> String {
        String::from_utf8(NewIdentities::new("cluster", [A].into_iter()).renew(value.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn a_uid_is_renewed_wherever_a_field_refers_to_it_and_nowhere_else() {
        let new = renewed(&format!(r#"{{"uid":"{A}"}}"#))[8..8 + UID].to_owned();
        assert_ne!(new, A);
        for (value, changes) in [
            (format!(r#"{{"metadata":{{"uid":"{A}"}}}}"#), 1),
            (format!(r#"{{"metadata":{{"ownerReferences":[{{"uid":"{A}"}},{{"uid":"{B}"}}]}}}}"#), 1),
            (format!(r#"{{"labels":{{"batch.kubernetes.io/controller-uid":"{A}","controllerUID":"{A}"}}}}"#), 2),
            (format!(r#"{{"f:ownerReferences":{{"k:{{\"uid\":\"{A}\"}}":{{}}}}}}"#), 1),
            // Names, texts and what belongs to nobody here stay.
            (format!(r#"{{"name":"{A}","data":{{"a":"{A}","b":"the uid is {A}"}},"list":["{A}"]}}"#), 0),
            (format!(r#"{{"uid":"{B}"}}"#), 0),
            (format!(r#"{{"uid":"{A}x"}}"#), 0),
            (format!(r#""{A}""#), 0),
            (format!(r#":"{A}""#), 0),
            (r#"{"uid":""#.to_owned(), 0),
        ] {
            assert_eq!(renewed(&value).matches(&new).count(), changes, "{value}");
            assert_eq!(renewed(&value).replace(&new, A), value, "nothing else changes");
        }
    }

    #[test]
    fn each_cluster_has_uids_of_its_own_and_the_same_ones_every_time() {
        let uid =
            |cluster| NewIdentities::new(cluster, [A].into_iter()).renew(format!(r#"{{"uid":"{A}"}}"#).as_bytes());
        assert_eq!(uid("a"), uid("a"));
        assert_ne!(uid("a"), uid("b"));
    }
}
