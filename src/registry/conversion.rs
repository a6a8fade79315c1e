//! Conversion by somebody else: what must be asked for before objects can be converted.
//!
//! Kinds convert objects at once, without waiting. Where a webhook does it, its answers are fetched beforehand, for as many
//! objects at a time as there are, and converting finds them.

use std::sync::Arc;

use atoll_api::{ApiResult, GroupVersion, Object};
use futures::future::BoxFuture;

use super::encode::decode;
use super::{Registry, Target};
use crate::storage::Entry;

/// Fetches conversions.
pub trait Converter: Send + Sync {
    /// Sees to it that these objects can be converted to a version.
    fn prepare<'a>(&'a self, objects: Vec<Object>, to: &'a GroupVersion) -> BoxFuture<'a, ApiResult<()>>;
}

impl Registry {
    /// Sees to it that stored objects can be read in the target's version.
    pub async fn ready_to_read(&self, target: &Target, entries: &[Arc<Entry>]) -> ApiResult<()> {
        let Some(converter) = target.resource.converter() else { return Ok(()) };
        let suffix = target.stored_suffix();
        let is_storage = target.version().version == target.descriptor().storage_version().version;
        let stored = |entry: &Arc<Entry>| {
            let mut object = decode(entry)?;
            super::decode::prune_and_default(target, &mut object)?;
            Ok(object)
        };
        // What is asked for as it is stored needs no conversion, unless it was stored before that version was chosen.
        let other = entries.iter().filter(|entry| !is_storage || !entry.ends_with(suffix.as_bytes()));
        let objects = other.map(stored).collect::<ApiResult<Vec<Object>>>()?;
        converter.prepare(objects, &target.version().version).await
    }

    /// Sees to it that an object can be stored.
    pub(super) async fn ready_to_store(&self, target: &Target, object: &Object) -> ApiResult<()> {
        let Some(converter) = target.resource.converter() else { return Ok(()) };
        converter.prepare(vec![object.clone()], &target.descriptor().storage_version().version).await
    }

    /// Sees to it that an object as it would be stored can be shown.
    pub(super) async fn ready_to_show(&self, target: &Target, object: &Object) -> ApiResult<()> {
        let Some(converter) = target.resource.converter() else { return Ok(()) };
        let mut object = object.clone();
        super::decode::prune_and_default(target, &mut object)?;
        converter.prepare(vec![object], &target.version().version).await
    }
}
