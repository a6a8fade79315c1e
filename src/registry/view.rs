//! Objects that are computed rather than stored, as a page of a collection.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};

use super::list::matches;
use super::{ListAnswer, ListRequest, Registry, Target, encode};
use crate::request::RequestContext;
use crate::storage::{Entry, Key};

impl Registry {
    /// The objects that a request selects, as if they were stored at this revision.
    pub fn page(
        &self,
        cx: &RequestContext,
        target: &Target,
        request: &ListRequest,
        objects: Vec<Object>,
        revision: u64,
    ) -> ApiResult<ListAnswer> {
        let mut entries = Vec::with_capacity(objects.len());
        for object in objects {
            entries.push(computed_entry(cx, target, object, revision)?);
        }
        entries.retain(|entry| {
            let in_namespace = request.namespace.is_empty() || entry.namespace() == request.namespace;
            in_namespace && matches(target, request, entry)
        });
        entries.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(ListAnswer { entries, revision, continue_token: String::new(), remaining: None })
    }
}

/// A computed object as if it were stored.
pub(super) fn computed_entry(
    cx: &RequestContext,
    target: &Target,
    mut object: Object,
    revision: u64,
) -> ApiResult<Arc<Entry>> {
    target.name_type(&mut object);
    let resource = target.descriptor().resource.clone();
    let key = Key::new(resource, cx.cluster.clone(), object.namespace(), object.name());
    Ok(Arc::new(Entry::new(&key, cx.cluster.clone(), encode::encode(&object)?, revision)))
}

impl Target {
    /// Says in an object that it is of this resource's kind.
    pub fn name_type(&self, object: &mut Object) {
        object.set_type(&self.version().version.to_string(), &self.kind().kind);
    }
}
