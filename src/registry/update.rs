//! UPDATE: replacing an object, or its status, by what the client sent.

use atoll_api::ApiResult;
use atoll_api::options::WriteOptions;

use super::decode::Body;
use super::modify::{By, Change, Precondition, Tracking};
use super::resource::Part;
use super::{ObjectName, Registry, Target, Written, decode, meta};
use crate::request::RequestContext;

impl Registry {
    /// Replaces an object or its status.
    pub async fn update(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        part: Part,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Written> {
        let mut object = decode::decode(cx, target, body, options.validation())?;
        meta::check_name(&object, name.name)?;
        meta::settle_namespace(target, &mut object, name)?;
        decode::default(target, &mut object)?;
        let change = Change {
            part,
            tracking: Tracking::Compare,
            precondition: Precondition::of(&object),
            may_create: matches!(part, Part::Main | Part::Status) && target.resource.create_on_update(),
            subresource: target.subresource_of(part),
            unconditional: false,
            by: By::Client,
        };
        self.modify(cx, target, name, change, options, |_live| Ok((object.clone(), Precondition::default()))).await
    }
}
