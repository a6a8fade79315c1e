//! Lists, written item by item from what is stored: long ones piece by piece, while the client reads.
//!
//! A piece is made when the connection has room for it, so that a list takes no more memory than a piece, and the client
//! reads the first one while the second is written.

use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, ClusterScope};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::super::chain::Asked;
use super::table::{Form, Table};
use super::{Holds, agree, form, include};
use crate::codec::negotiate::{Encoding, MetaVersion, Negotiated, Shape};
use crate::codec::partial::ListMeta;
use crate::codec::protobuf::ListEncoder;
use crate::codec::table::Headers;
use crate::registry::encode::{TypeMeta, Writer};
use crate::registry::resource::Origin;
use crate::registry::{ListAnswer, Target};
use crate::storage::Entry;

const PARTIAL_LIST: &str = "PartialObjectMetadataList";

/// How long a piece is, by an item at most longer. It fits in the processor's cache.
const PIECE: usize = 128 * 1024;

/// A list on its way: an iterator of its pieces.
struct List {
    target: Target,
    names_clusters: bool,
    items: Items,
    entries: std::vec::IntoIter<Arc<Entry>>,
    /// When this much is written, the piece ends.
    piece: usize,
    /// What is written of the next piece.
    out: Vec<u8>,
    /// Whether the next item is the first.
    at_first: bool,
    ended: bool,
}

/// What a list is of.
enum Items {
    /// Objects as they are.
    Whole,
    /// The metadata of each.
    Partial(MetaVersion),
    /// Rows.
    Rows(Box<Table>, MetaVersion),
}

/// A list, its items copied from the store.
pub(in super::super) fn list(asked: &Asked, target: &Target, page: ListAnswer) -> ApiResult<Response<Body>> {
    let agreed = agree(asked, target, Holds::List)?;
    if agreed.encoding == Encoding::Protobuf {
        return messages(asked, target, &page, agreed.shape());
    }
    let mut list = List::begin(asked, target, page, agreed.shape())?;
    if !is_written_on(asked, target, &agreed) {
        list.piece = usize::MAX;
    }
    // What is wrong with an item of the first piece can still be told.
    let first = list.next().transpose()?.unwrap_or_default();
    if list.ended {
        return form::encoded(asked, &agreed, StatusCode::OK, first);
    }
    Ok(form::written_on(asked, std::iter::once(Ok(first)).chain(list)))
}

/// A list as protobuf, which tells how long it is before it begins.
fn messages(asked: &Asked, target: &Target, page: &ListAnswer, shape: Shape) -> ApiResult<Response<Body>> {
    let meta = list_meta(page);
    let (api_version, kind, mut items) = match shape {
        Shape::Plain => (target.version().version.to_string(), &*target.descriptor().list_kind, Items::Whole),
        Shape::PartialList(version) => (version.api_version().to_owned(), PARTIAL_LIST, Items::Partial(version)),
        Shape::Partial(_) => return Err(not_one_object(target)),
        Shape::Table(_) => return Err(ApiError::internal("there are no tables in protobuf")),
    };
    let failed = |error| ApiError::internal("the list cannot be written as protobuf").caused_by(error);
    let mut list = ListEncoder::begin(&api_version, kind, &meta.to_value()).map_err(failed)?;
    let writer = items.writer(target, asked.cx.scope == ClusterScope::All);
    let mut json = Vec::new();
    for entry in &page.entries {
        json.clear();
        items.write(target, &writer, entry, &mut json)?;
        list.add(&form::parse(&json)?).map_err(failed)?;
    }
    Ok(form::compressed(asked, StatusCode::OK, Encoding::Protobuf.media_type(), list.end().into()))
}

/// Whether a list may be written while the client reads it: as JSON without spaces, of objects that are sure to be
/// readable. Those that somebody else converts are had for a while only.
fn is_written_on(asked: &Asked, target: &Target, agreed: &Negotiated) -> bool {
    agreed.encoding == Encoding::Json && !form::is_pretty(asked, agreed) && target.resource.converter().is_none()
}

// === impl List ===

impl List {
    fn begin(asked: &Asked, target: &Target, page: ListAnswer, shape: Shape) -> ApiResult<Self> {
        let mut out = Vec::with_capacity(room(&page.entries, PIECE));
        let meta = list_meta(&page);
        let items = match shape {
            Shape::Plain => {
                let kind = &target.descriptor().list_kind;
                begin(&mut out, kind, &target.version().version.to_string(), &shown_meta(target, &meta));
                Items::Whole
            }
            Shape::PartialList(version) => {
                begin(&mut out, PARTIAL_LIST, version.api_version(), &meta.to_value());
                Items::Partial(version)
            }
            Shape::Table(version) => {
                let form = Form { version, include: include(asked)?, headers: Headers::Shown };
                Items::Rows(Box::new(Table::begin(target, form, asked.cx.now, &meta, &mut out)?), version)
            }
            Shape::Partial(_) => return Err(not_one_object(target)),
        };
        Ok(Self {
            target: target.clone(),
            names_clusters: asked.cx.scope == ClusterScope::All,
            items,
            entries: page.entries.into_iter(),
            piece: PIECE,
            out,
            at_first: true,
            ended: false,
        })
    }

    /// Writes on until the piece is full or there is no more.
    fn write(&mut self) -> ApiResult<()> {
        let writer = self.items.writer(&self.target, self.names_clusters);
        while self.out.len() < self.piece {
            let Some(entry) = self.entries.next() else {
                self.items.end(self.at_first, &mut self.out);
                self.ended = true;
                return Ok(());
            };
            self.items.separate(self.at_first, &mut self.out);
            self.items.write(&self.target, &writer, &entry, &mut self.out)?;
            self.at_first = false;
        }
        Ok(())
    }
}

impl Iterator for List {
    type Item = ApiResult<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let written = self.write();
        if let Err(error) = &written {
            // After the first piece only the log can tell what the end of the answer is about.
            tracing::error!(%error, "a list could not be written to its end");
            self.ended = true;
        }
        let next = if self.ended { Vec::new() } else { Vec::with_capacity(room(self.entries.as_slice(), self.piece)) };
        let piece = std::mem::replace(&mut self.out, next);
        Some(written.map(|()| piece.into()))
    }
}

// === impl Items ===

impl Items {
    fn writer<'t>(&self, target: &'t Target, names_clusters: bool) -> Writer<'t> {
        let writer = target.writer(if matches!(self, Self::Whole) { TypeMeta::Left } else { TypeMeta::Shown });
        if names_clusters { writer.naming_clusters() } else { writer }
    }

    /// Writes what stands before an item.
    fn separate(&self, at_first: bool, out: &mut Vec<u8>) {
        match self {
            Self::Whole | Self::Partial(_) => out.push(if at_first { b'[' } else { b',' }),
            Self::Rows(..) => {}
        }
    }

    fn write(&mut self, target: &Target, writer: &Writer<'_>, entry: &Arc<Entry>, out: &mut Vec<u8>) -> ApiResult<()> {
        match self {
            Self::Whole => writer.write(entry, out),
            Self::Partial(version) => writer.write_partial_at(entry, entry.revision, *version, out),
            Self::Rows(table, version) => {
                let object = target.read_for_cells(entry)?;
                table.add(&object, |carried, out| writer.carry(carried, entry, entry.revision, *version, out), out)
            }
        }
    }

    fn end(&self, no_items: bool, out: &mut Vec<u8>) {
        match self {
            Self::Whole if no_items => out.extend_from_slice(b"[]}"),
            // Go makes the list as it finds items, so that of none is null.
            Self::Partial(_) if no_items => out.extend_from_slice(b"null}"),
            Self::Whole | Self::Partial(_) => out.extend_from_slice(b"]}"),
            Self::Rows(table, _) => table.end(out),
        }
    }
}

/// How much room the next piece takes, if it ends at `piece`.
fn room(entries: &[Arc<Entry>], piece: usize) -> usize {
    /// What comes before the first item, or after the last.
    const AROUND: usize = 256;
    /// What an answer adds to a stored object.
    const ADDED: usize = 64;
    let mut room = AROUND;
    for entry in entries {
        room += entry.size() + ADDED;
        if room >= piece {
            break;
        }
    }
    room
}

fn begin(out: &mut Vec<u8>, kind: &str, api_version: &str, meta: &Value) {
    let head = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{meta},\"items\":");
    out.extend_from_slice(head.as_bytes());
}

/// The metadata of a list of whole objects. Lists of custom kinds are written without a Go type that would leave out how to go
/// on when there is no more.
fn shown_meta(target: &Target, meta: &ListMeta) -> Value {
    let mut meta = meta.to_value();
    if let (Origin::Custom, Value::Object(meta)) = (target.resource.origin(), &mut meta) {
        meta.entry("continue").or_insert_with(|| "".into());
    }
    meta
}

fn list_meta(page: &ListAnswer) -> ListMeta {
    ListMeta {
        resource_version: page.revision.to_string(),
        continue_token: page.continue_token.clone(),
        remaining_item_count: page.remaining.filter(|left| *left > 0).map(|left| left as u64),
    }
}

fn not_one_object(target: &Target) -> ApiError {
    let message = "you requested PartialObjectMetadata, but the requested object is a list";
    let kind = match target.resource.origin() {
        Origin::Builtin => &target.descriptor().list_kind,
        Origin::Custom => "UnstructuredList",
    };
    ApiError::new(atoll_api::Reason::NotAcceptable, format!("{message} (*{}.{kind})", target.go_package()))
}
