//! The frames of a watch stream: each event is encoded once for all who watch in the same way.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use atoll_api::options::IncludeObject;
use atoll_api::{ApiError, ApiResult, ClusterScope, Object};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::chain::Asked;
use super::{Holds, agree, form, include, table};
use crate::codec::negotiate::{Encoding, MetaVersion, Shape};
use crate::codec::partial::{ListMeta, partial_object};
use crate::codec::protobuf;
use crate::codec::table::{Carried, Headers};
use crate::registry::encode::TypeMeta;
use crate::registry::{Happened, Target};
use crate::storage::{Entry, Event};

/// What a bookmark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Bookmark {
    /// Everything up to its version has been told.
    Progress,
    /// What was there at the start has been told.
    InitialEnd,
}

/// Makes the frames of one watch.
pub(in super::super) struct Frames {
    target: Target,
    encoding: Encoding,
    shape: Shape,
    include: IncludeObject,
    names_cluster: bool,
    headers: Headers,
    /// What tells this way of watching from others, for sharing encoded events.
    way: u64,
}

impl Frames {
    /// Frames in the form the client accepts.
    pub(in super::super) fn of(asked: &Asked, target: &Target) -> ApiResult<Self> {
        let agreed = agree(asked, target, Holds::Watch)?;
        let shape = agreed.shape();
        let include = include(asked)?;
        let names_cluster = asked.cx.scope == ClusterScope::All;
        let mut hasher = DefaultHasher::new();
        (&target.version().version, agreed.encoding, shape, include as u8, names_cluster).hash(&mut hasher);
        Ok(Self {
            target: target.clone(),
            encoding: agreed.encoding,
            shape,
            include,
            names_cluster,
            headers: Headers::Shown,
            way: hasher.finish(),
        })
    }

    /// What is watched.
    pub(in super::super) fn target(&self) -> &Target {
        &self.target
    }

    /// The media type of the stream.
    pub(in super::super) fn media_type(&self) -> &'static str {
        self.encoding.stream_content_type()
    }

    /// The frame of something that happened to an object.
    pub(in super::super) fn event(
        &mut self,
        happened: Happened,
        entry: &Arc<Entry>,
        revision: u64,
        event: Option<&Event>,
    ) -> ApiResult<Bytes> {
        let first_table = matches!(self.shape, Shape::Table(_)) && self.headers == Headers::Shown;
        // Custom types may change their schema while an event is remembered, so its bytes are not shared for good.
        let shared = event.filter(|_| !first_table && self.target.resource.is_current(entry.revision));
        let frame = match shared {
            None => self.encode_event(happened, entry, revision)?,
            Some(event) => {
                let slot = self.way.wrapping_add(happened as u64);
                let mut failure = None;
                let bytes = event.encode_once(slot, || match self.encode_event(happened, entry, revision) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        failure = Some(error);
                        Bytes::new()
                    }
                });
                if let Some(error) = failure {
                    return Err(error);
                }
                bytes
            }
        };
        self.headers = Headers::Omitted;
        Ok(frame)
    }

    fn encode_event(&self, happened: Happened, entry: &Arc<Entry>, revision: u64) -> ApiResult<Bytes> {
        let mut json = Vec::with_capacity(entry.size() + 128);
        let mut writer = self.target.writer(TypeMeta::Shown);
        if self.names_cluster {
            writer = writer.naming_clusters();
        }
        match self.shape {
            Shape::Plain => writer.write_at(entry, revision, &mut json)?,
            Shape::Partial(version) | Shape::PartialList(version) => {
                writer.write_partial_at(entry, revision, version, &mut json)?;
            }
            Shape::Table(version) => {
                let mut object = self.target.read_for_cells(entry)?;
                object.set_meta("resourceVersion", &revision.to_string());
                json = self
                    .table_of(&object, version, |carried, out| writer.carry(carried, entry, revision, version, out))?;
            }
        }
        self.frame(happened.as_str(), json)
    }

    fn table_of(
        &self,
        object: &Object,
        version: MetaVersion,
        write: impl FnOnce(Carried, &mut Vec<u8>) -> ApiResult<()>,
    ) -> ApiResult<Vec<u8>> {
        let meta = ListMeta { resource_version: object.resource_version().to_owned(), ..ListMeta::default() };
        let form = table::Form { version, include: self.include, headers: self.headers };
        let mut out = Vec::with_capacity(1024);
        let mut table = table::Table::begin(&self.target, form, Timestamp::now(), &meta, &mut out)?;
        table.add(object, write, &mut out)?;
        table.end(&mut out);
        Ok(out)
    }

    /// The frame of a bookmark.
    pub(in super::super) fn bookmark(&self, revision: u64, bookmark: Bookmark) -> ApiResult<Bytes> {
        let mut object = self.target.empty_object();
        object.set_meta("resourceVersion", &revision.to_string());
        if bookmark == Bookmark::InitialEnd {
            object.set_annotation("k8s.io/initial-events-end", "true");
        }
        let shown = match self.shape {
            Shape::Plain => Value::Object(object.0).to_string().into_bytes(),
            Shape::Partial(version) | Shape::PartialList(version) => {
                partial_object(object, version).to_string().into_bytes()
            }
            Shape::Table(version) => self.table_of(&object, version, |carried, out| {
                let shown = match carried {
                    Carried::Metadata => partial_object(object.clone(), version),
                    Carried::Whole => Value::Object(object.0.clone()),
                };
                out.extend_from_slice(shown.to_string().as_bytes());
                Ok(())
            })?,
        };
        self.frame("BOOKMARK", shown)
    }

    /// The frame of an error, the last of its stream.
    pub(in super::super) fn error(&self, error: ApiError) -> ApiResult<Bytes> {
        self.frame("ERROR", json!(error.status.to_value()).to_string().into_bytes())
    }

    fn frame(&self, kind: &str, object: Vec<u8>) -> ApiResult<Bytes> {
        if self.encoding == Encoding::Protobuf {
            let object: Value = form::parse(&object)?;
            return protobuf::encode(&object)
                .map(|object| Bytes::from(protobuf::watch_frame(kind, &object)))
                .map_err(|error| ApiError::internal("an event cannot be written as protobuf").caused_by(error));
        }
        let mut out = Vec::with_capacity(object.len() + 40);
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        out.extend_from_slice(&object);
        out.extend_from_slice(b"}\n");
        Ok(out.into())
    }
}
