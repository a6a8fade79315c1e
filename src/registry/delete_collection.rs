//! DELETECOLLECTION: deletes, one after the other, what a list finds.

use atoll_api::options::DeleteOptions;
use atoll_api::{ApiResult, Reason};

use super::delete::Named;
use super::list::{ListAnswer, ListRequest};
use super::{ObjectName, Registry, Target};
use crate::request::RequestContext;

impl Registry {
    /// Deletes what the request lists; answers with the list as it was.
    pub async fn delete_collection(
        &self,
        cx: &RequestContext,
        target: &Target,
        request: &ListRequest,
        options: &DeleteOptions,
    ) -> ApiResult<ListAnswer> {
        super::delete::warn_of_orphans(cx, target, options);
        let mut answer = self.list(cx, target, request).await?;
        // What the cluster sees without having stored it is not its to delete; what is never deleted does not keep the
        // others from it.
        answer.entries.retain(|entry| {
            let name = ObjectName { namespace: entry.namespace(), name: entry.name() };
            let kept = target.resource.refuses_deletion(entry.name()).is_some();
            !kept && self.store.get(&self.key(&cx.cluster, target, &name)).is_some()
        });
        for entry in &answer.entries {
            let name = ObjectName { namespace: entry.namespace(), name: entry.name() };
            match self.delete_named(cx, target, &name, Named::InCollection, options).await {
                Ok(_) => {}
                // Somebody else deleted it in between, which is what was asked for.
                Err(error) if error.reason() == Reason::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }
}
