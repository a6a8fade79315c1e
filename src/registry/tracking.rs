//! Who owns which field: `managedFields`, kept on every write.
//!
//! The rules are the patch floor's; here they meet versions, managers and errors.

use atoll_api::options::WriteOptions;
use atoll_api::{ApiResult, GroupVersion, Object};
use serde_json::Value;

use super::Target;
use super::resource::Part;
use crate::patch::apply::{self, Force, Tracking, Versions};
use crate::request::RequestContext;
use crate::schema::Schema;

/// A change whose owner is to be recorded.
pub(super) struct Tracked<'a> {
    pub(super) cx: &'a RequestContext,
    pub(super) target: &'a Target,
    pub(super) part: Part,
    pub(super) subresource: &'a str,
    pub(super) options: &'a WriteOptions,
}

/// The served versions of a resource, for owners recorded in another than the request's.
struct Served<'a>(&'a Target);

impl Versions for Served<'_> {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        let version = GroupVersion::parse(api_version)?;
        self.0.descriptor().served(&version).map(|info| &*info.schema)
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let version = GroupVersion::parse(api_version).ok_or_else(|| format!("{api_version:?} is no version"))?;
        let mut object = Object::from_value(object.clone()).map_err(|_| "not an object".to_owned())?;
        self.0.resource.convert_for_owners(&mut object, &version).map_err(|error| error.to_string())?;
        Ok(object.into_value())
    }
}

impl Tracked<'_> {
    /// Records who owns the fields of a new object.
    pub(super) fn created(&self, object: &mut Object) {
        self.record(None, object);
    }

    /// Records who owns what differs between an object before and after a change.
    pub(super) fn updated(&self, live: &Object, new: &mut Object) {
        let live = Value::Object(live.0.clone());
        self.record(Some(&live), new);
    }

    fn record(&self, live: Option<&Value>, object: &mut Object) {
        self.with(|tracking| {
            let mut value = Value::Object(std::mem::take(&mut object.0));
            apply::update(tracking, live, &mut value);
            if let Value::Object(map) = value {
                object.0 = map;
            }
        });
    }

    /// The live object with the configuration applied (server-side apply).
    pub(super) fn applied(&self, live: Option<&Object>, config: &Object, force: Force) -> ApiResult<Object> {
        let live = live.map(|object| Value::Object(object.0.clone()));
        let config = Value::Object(config.0.clone());
        let merged = self.with(|tracking| apply::apply(tracking, live.as_ref(), &config, force));
        let merged = merged.map_err(super::patch::refuse)?;
        Object::from_value(merged).map_err(|_| atoll_api::ApiError::internal("an applied object is an object"))
    }

    fn with<T>(&self, run: impl FnOnce(&Tracking<'_>) -> T) -> T {
        let manager = apply::manager_name(&self.options.field_manager, &self.cx.user_agent);
        let version = &self.target.version().version;
        let blank = self.target.resource.blank(version);
        let reset: Vec<Vec<&str>> =
            self.target.resource.reset_fields(self.part).iter().map(|path| path.split('.').collect()).collect();
        let reset: Vec<&[&str]> = reset.iter().map(Vec::as_slice).collect();
        run(&Tracking {
            manager: &manager,
            subresource: self.subresource,
            api_version: &version.to_string(),
            kind: &self.target.descriptor().kind,
            blank: &blank,
            reset: &reset,
            versions: &Served(self.target),
            now: self.cx.now,
        })
    }
}
