//! Objects as stored bytes, and stored bytes as answers.
//!
//! The stored form is compact JSON of the storage version with `metadata` first, without `resourceVersion`, and with
//! `apiVersion` and `kind` last: so the resource version goes in at a constant place, and the type is a known suffix
//! that tells whether the bytes can be copied into an answer as they stand.

use atoll_api::{ApiError, ApiResult, Object};
use bytes::Bytes;
use serde_json::Value;

use super::Target;
use super::resource::Origin;
use crate::codec::negotiate::MetaVersion;
use crate::codec::partial::{self, Added, partial_bytes};
use crate::codec::table::Carried;
use crate::codec::without;
use crate::storage::Entry;

/// What every stored object begins with.
const HEAD: &str = "{\"metadata\":{";

/// Whether an object is written with its type: alone it is, in a list of a built-in type it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeMeta {
    /// `apiVersion` and `kind` are written.
    Shown,
    /// They are left out, as Go does for the items of typed lists.
    Left,
}

/// The stored form of an object of the storage version.
pub fn encode(object: &Object) -> ApiResult<Bytes> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"metadata\":");
    let empty = Value::Object(serde_json::Map::new());
    let metadata = object.0.get("metadata").unwrap_or(&empty);
    if metadata.get("resourceVersion").is_some() {
        let mut metadata = metadata.clone();
        metadata.as_object_mut().map(|m| m.remove("resourceVersion"));
        write_value(&mut out, &metadata)?;
    } else {
        write_value(&mut out, metadata)?;
    }
    for (field, value) in &object.0 {
        if !matches!(field.as_str(), "metadata" | "apiVersion" | "kind") {
            write_field(&mut out, field, value)?;
        }
    }
    write_field(&mut out, "apiVersion", &object.api_version().into())?;
    write_field(&mut out, "kind", &object.kind().into())?;
    out.push(b'}');
    // A copy of just the right size: this is what stays in memory as long as the object.
    Ok(Bytes::copy_from_slice(&out))
}

fn write_field(out: &mut Vec<u8>, field: &str, value: &Value) -> ApiResult<()> {
    out.push(b',');
    write_value(out, &Value::String(field.to_owned()))?;
    out.push(b':');
    write_value(out, value)
}

fn write_value(out: &mut Vec<u8>, value: &Value) -> ApiResult<()> {
    serde_json::to_writer(out, value)
        .map_err(|error| ApiError::internal("the object cannot be written as JSON").caused_by(error))
}

/// Reads stored bytes back, as they were written.
pub fn decode(entry: &Entry) -> ApiResult<Object> {
    let mut object: Object = serde_json::from_slice(&entry.bytes()).map_err(unreadable)?;
    object.set_meta("resourceVersion", &entry.revision.to_string());
    Ok(object)
}

fn unreadable(error: serde_json::Error) -> ApiError {
    ApiError::internal("a stored object cannot be read").caused_by(error)
}

impl Target {
    /// How the stored bytes of this resource's storage version end.
    pub(super) fn stored_suffix(&self) -> String {
        let descriptor = self.resource.descriptor();
        let version = &descriptor.storage_version().version;
        format!(",\"apiVersion\":\"{version}\",\"kind\":\"{}\"}}", descriptor.kind)
    }

    /// A writer of stored objects in the version asked for.
    pub fn writer(&self, types: TypeMeta) -> Writer<'_> {
        let descriptor = self.resource.descriptor();
        let prefix = format!("\"apiVersion\":\"{}\",\"kind\":\"{}\",", self.version().version, descriptor.kind);
        let shown = types == TypeMeta::Shown || self.resource.origin() == Origin::Custom;
        Writer {
            target: self,
            prefix: if shown { prefix } else { String::new() },
            suffix: self.stored_suffix(),
            copies: self.version().version == descriptor.storage_version().version,
            names_cluster: false,
        }
    }

    /// A stored object in the version asked for, as a client would read it.
    pub fn read(&self, entry: &Entry) -> ApiResult<Object> {
        let mut object = decode(entry)?;
        self.bring_up_to_date(&mut object)?;
        Ok(object)
    }

    /// What the cells of a table are made of: a stored object in the version asked for. Who owns which of its fields is left
    /// out for built-in kinds, half of many an object and in none of their cells.
    pub fn read_for_cells(&self, entry: &Entry) -> ApiResult<Object> {
        if self.resource.origin() == Origin::Custom {
            return self.read(entry);
        }
        let fields = without::read(&entry.bytes(), &["metadata", "managedFields"]).map_err(unreadable)?;
        let mut object = Object(fields);
        object.set_meta("resourceVersion", &entry.revision.to_string());
        self.bring_up_to_date(&mut object)?;
        Ok(object)
    }

    /// Converts a stored object to the version asked for. One of a custom kind, whose schema may have changed since it was
    /// written, is pruned and defaulted first, by the schema of the version it is in.
    pub(super) fn bring_up_to_date(&self, object: &mut Object) -> ApiResult<()> {
        if self.resource.origin() == Origin::Custom {
            super::decode::prune_and_default(self, object)?;
        }
        self.resource.convert(object, &self.version().version)
    }
}

/// Writes many stored objects in one version, copying bytes where that is right.
pub struct Writer<'a> {
    target: &'a Target,
    prefix: String,
    suffix: String,
    copies: bool,
    names_cluster: bool,
}

/// The annotation that names an object's logical cluster, where objects of several are read together (as in kcp).
pub const CLUSTER_ANNOTATION: &str = "kcp.io/cluster";

impl Writer<'_> {
    /// Names each object's cluster in an annotation: for reads across clusters.
    #[must_use]
    pub fn naming_clusters(mut self) -> Self {
        self.names_cluster = true;
        self
    }

    /// Appends one object as JSON, with its resource version.
    pub fn write(&self, entry: &Entry, out: &mut Vec<u8>) -> ApiResult<()> {
        self.write_at(entry, entry.revision, out)
    }

    /// Appends one object as JSON, with another resource version than its own (that of its deletion, say).
    pub fn write_at(&self, entry: &Entry, revision: u64, out: &mut Vec<u8>) -> ApiResult<()> {
        match self.copyable(entry) {
            Some(body) => {
                out.push(b'{');
                out.extend_from_slice(self.prefix.as_bytes());
                out.extend_from_slice(b"\"metadata\":{\"resourceVersion\":\"");
                out.extend_from_slice(revision.to_string().as_bytes());
                out.extend_from_slice(b"\",");
                body.iter().for_each(|piece| out.extend_from_slice(piece));
                out.push(b'}');
                Ok(())
            }
            None => self.rewrite(entry, revision, out),
        }
    }

    /// Appends the metadata of one object, as a `PartialObjectMetadata` with this resource version.
    pub fn write_partial_at(
        &self,
        entry: &Entry,
        revision: u64,
        version: MetaVersion,
        out: &mut Vec<u8>,
    ) -> ApiResult<()> {
        let annotation = self.names_cluster.then(|| (CLUSTER_ANNOTATION, entry.cluster().as_str()));
        // Metadata is the same whatever a schema says; conversion to another version may change it.
        if self.copies && partial::write_partial(entry.head(), Added { revision, annotation }, version, out) {
            return Ok(());
        }
        let mut whole = Vec::with_capacity(entry.size() + 128);
        self.write_at(entry, revision, &mut whole)?;
        out.extend_from_slice(&partial_bytes(&whole, version).unwrap_or_default());
        Ok(())
    }

    /// Appends as much of one object as the row of a table carries.
    pub fn carry(
        &self,
        carried: Carried,
        entry: &Entry,
        revision: u64,
        version: MetaVersion,
        out: &mut Vec<u8>,
    ) -> ApiResult<()> {
        match carried {
            Carried::Metadata => self.write_partial_at(entry, revision, version, out),
            Carried::Whole => self.write_at(entry, revision, out),
        }
    }

    /// The stored bytes between head and suffix, if they can be copied.
    fn copyable<'e>(&self, entry: &'e Entry) -> Option<[&'e [u8]; 3]> {
        if !self.copies || self.names_cluster || !self.target.resource.is_current(entry.revision) {
            return None;
        }
        entry.between(HEAD.as_bytes(), self.suffix.as_bytes())
    }

    fn rewrite(&self, entry: &Entry, revision: u64, out: &mut Vec<u8>) -> ApiResult<()> {
        let mut object = self.target.read(entry)?;
        object.set_meta("resourceVersion", &revision.to_string());
        if self.names_cluster {
            object.set_annotation(CLUSTER_ANNOTATION, entry.cluster().as_str());
        }
        if self.prefix.is_empty() {
            object.0.remove("apiVersion");
            object.0.remove("kind");
        }
        write_value(out, &Value::Object(object.0))
    }
}
