//! Who owns which field: `managedFields`, kept on every write.
//!
//! The rules are the patch floor's; here they meet versions, managers and errors.

use atoll_api::options::WriteOptions;
use atoll_api::{ApiError, ApiResult, GroupVersion, Object};
use parking_lot::Mutex;
use serde_json::Value;

use super::Target;
use super::resource::{Origin, Part};
use crate::patch::apply::{self, Force, Tracking, Versions};
use crate::request::RequestContext;
use crate::schema::Schema;

/// Conversions for owners that somebody else is to be asked for first: the record is made anew when they are there.
#[derive(Debug, Default)]
pub(super) struct Unconverted(Mutex<Vec<(Object, GroupVersion)>>);

/// How often a record is made anew for want of conversions: objects are converted on from one version to another.
pub(super) const ROUNDS: usize = 8;

/// A change whose owner is to be recorded.
pub(super) struct Tracked<'a> {
    pub(super) cx: &'a RequestContext,
    pub(super) target: &'a Target,
    pub(super) part: Part,
    pub(super) subresource: &'a str,
    pub(super) options: &'a WriteOptions,
    pub(super) unconverted: &'a Unconverted,
}

/// The served versions of a resource, for owners recorded in another than the request's.
struct Served<'a>(&'a Target, &'a Unconverted);

impl Versions for Served<'_> {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        let version = GroupVersion::parse(api_version)?;
        let descriptor = self.0.descriptor();
        // Owners in a version of a definition are kept as long as it is defined, served or not.
        match self.0.resource.origin() {
            // What is served by two groups forgets those who wrote through the other one (managedfields/versionconverter.go).
            Origin::Builtin if version.group != self.0.version().version.group => None,
            Origin::Builtin => descriptor.served(&version).map(|info| &*info.schema),
            Origin::Custom => descriptor.versions.iter().find(|info| info.version == version).map(|info| &*info.schema),
        }
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let version = GroupVersion::parse(api_version).ok_or_else(|| format!("{api_version:?} is no version"))?;
        let object = Object::from_value(object.clone()).map_err(|_| "not an object".to_owned())?;
        let mut converted = object.clone();
        if let Err(error) = self.0.resource.convert(&mut converted, &version) {
            if self.0.resource.converter().is_some() {
                self.1.note(object, version);
            }
            return Err(error.to_string());
        }
        Ok(converted.into_value())
    }
}

// === impl Unconverted ===

impl Unconverted {
    fn note(&self, object: Object, to: GroupVersion) {
        self.0.lock().push((object, to));
    }

    /// Asks for what was missing; whether anything was.
    pub(super) async fn fetch(&self, target: &Target) -> ApiResult<bool> {
        let missing = std::mem::take(&mut *self.0.lock());
        let Some(converter) = target.resource.converter() else { return Ok(false) };
        for (object, to) in &missing {
            converter.prepare(vec![object.clone()], to).await?;
        }
        Ok(!missing.is_empty())
    }
}

/// The objects as owners know them in other versions are not to be had.
pub(super) fn owners_unconverted() -> ApiError {
    ApiError::internal("failed to convert the object to the versions in which its fields are owned")
}

// === impl Tracked ===

impl Tracked<'_> {
    /// Records who owns the fields of a new object.
    pub(super) fn created(&self, object: &mut Object) {
        self.record(None, object);
    }

    /// Records who owns what differs between an object before and after a change. The one before stays as it is, and is lent
    /// for that.
    pub(super) async fn updated(&self, live: &mut Object, new: &mut Object) {
        let before = Value::Object(std::mem::take(&mut live.0));
        self.record_change(&before, new).await;
        if let Value::Object(fields) = before {
            live.0 = fields;
        }
    }

    async fn record_change(&self, live: &Value, new: &mut Object) {
        let untracked = self.target.resource.converter().map(|_| new.clone());
        self.record(Some(live), new);
        let Some(untracked) = untracked else { return };
        for _ in 0..ROUNDS {
            // Where nobody converts, owners cannot be told and stay as they were.
            if !self.unconverted.fetch(self.target).await.unwrap_or(false) {
                return;
            }
            new.clone_from(&untracked);
            self.record(Some(live), new);
        }
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
        if !self.unconverted.0.lock().is_empty() {
            return Err(owners_unconverted());
        }
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
            versions: &Served(self.target, self.unconverted),
            // Kubernetes loses the time of those who write a scale (managedfields/scalehandler.go, 1.36).
            now: (self.subresource != "scale").then_some(self.cx.now),
        })
    }
}
