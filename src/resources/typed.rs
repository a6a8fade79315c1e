//! Resources of an embedder's own: a Rust type, the definition derived from it, and hooks that get the type.
//!
//! They are served as custom resources are, but by the program and not by a stored definition: nobody can change or delete
//! what they are. They may be kept as objects of another group, which only others may see.

use atoll_api::{ApiError, ApiResult, FieldError, FieldErrors, FieldPath, GroupVersion, Object};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::custom::Custom;
use crate::registry::descriptor::{Descriptor, ResourceVersionInfo, Verb};
use crate::registry::resource::{GenerationPolicy, Origin, Part, Resource};
use crate::request::RequestContext;
use crate::schema::{Link, Schema};

/// What a client can do with objects that it can only read.
const READ_VERBS: &[Verb] = &[Verb::Get, Verb::List];
const WATCH_VERBS: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];

/// A resource whose objects are a Rust type.
///
/// `T` is what an object deserializes to, such as the type that `#[derive(kube::CustomResource)]` makes. Hooks that
/// get a `T` are left out for objects that are no `T`, which their schema tells the client.
pub struct Typed<T> {
    custom: Custom,
    definition: Object,
    descriptor: Descriptor,
    hooks: Hooks<T>,
    backing: Option<Backing>,
}

struct Hooks<T> {
    default: Vec<Box<Fill<T>>>,
    validate: Vec<Box<Validate<T>>>,
    warn: Vec<Box<Warn<T>>>,
}

/// Fills in what is left out.
type Fill<T> = dyn Fn(&mut T) + Send + Sync;
/// Tells what clients should know.
type Warn<T> = dyn Fn(&T) -> Vec<String> + Send + Sync;

/// Checks an object; there is no old one of a new object.
type Validate<T> = dyn Fn(&T, Option<&T>, &mut FieldErrors) + Send + Sync;

/// How objects are kept, if not as they are shown.
struct Backing {
    version: GroupVersion,
    to: Box<Turn>,
    from: Box<Turn>,
}

/// Makes the content of one form from the whole object of the other.
type Turn = dyn Fn(Value) -> Result<Value, String> + Send + Sync;

/// Why a definition makes no resource.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The value is no object.
    #[error("the definition cannot be written as a JSON object")]
    NoObject,
    /// There is no version that is served and stored, or its schema is not structural.
    #[error("the definition {name:?} has no version to store objects in, or a schema that cannot be used")]
    Unusable {
        /// Its name.
        name: String,
    },
    /// The version that objects are to be kept in does not fit.
    #[error("{version:?} is no group and version that differs from that of the definition")]
    Backing {
        /// What was given.
        version: String,
    },
}

// === impl Typed ===

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Typed<T> {
    /// A resource from a `CustomResourceDefinition`, such as `T::crd()` of a type that derives `kube::CustomResource`.
    pub fn of(definition: &impl Serialize) -> Result<Self, DefinitionError> {
        let value = serde_json::to_value(definition).map_err(|_| DefinitionError::NoObject)?;
        let object = Object::from_value(value).map_err(|_| DefinitionError::NoObject)?;
        let name = object.name().to_owned();
        let custom = Custom::of_program(object.clone()).ok_or(DefinitionError::Unusable { name })?;
        let descriptor = custom.descriptor().clone();
        let hooks = Hooks { default: Vec::new(), validate: Vec::new(), warn: Vec::new() };
        Ok(Self { custom, definition: object, descriptor, hooks, backing: None })
    }

    /// Fills in what clients leave out, on every write and beyond the defaults of the schema. It may run several times
    /// on one object, and must then change nothing more. Changes of metadata are not kept.
    #[must_use]
    pub fn default_with(mut self, fill: impl Fn(&mut T) + Send + Sync + 'static) -> Self {
        self.hooks.default.push(Box::new(fill));
        self
    }

    /// Checks new and changed objects, after their schema has been checked.
    #[must_use]
    pub fn validate(self, check: impl Fn(&T, &mut FieldErrors) + Send + Sync + 'static) -> Self {
        self.validate_change(move |new, _, errors| check(new, errors))
    }

    /// Checks changed objects against what they were; of a new object there is no old one.
    #[must_use]
    pub fn validate_change(mut self, check: impl Fn(&T, Option<&T>, &mut FieldErrors) + Send + Sync + 'static) -> Self {
        self.hooks.validate.push(Box::new(check));
        self
    }

    /// Tells clients what they should know of an object that is accepted.
    #[must_use]
    pub fn warn(mut self, warn: impl Fn(&T) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.hooks.warn.push(Box::new(warn));
        self
    }

    /// Lets clients read objects, one or many, and nothing else.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.descriptor.verbs = READ_VERBS;
        self
    }

    /// Lets clients read and watch objects, and nothing else.
    #[must_use]
    pub fn watch_only(mut self) -> Self {
        self.descriptor.verbs = WATCH_VERBS;
        self
    }

    /// Keeps objects as those of a resource of another group, with the same plural name and kind, that `api_version`
    /// (`platform.example.com/v1`) names. `to` makes the content of what is kept from what clients send, `from` what
    /// clients see from what is kept; metadata is the same in both.
    pub fn backed_by<B: Serialize + DeserializeOwned + 'static>(
        mut self,
        api_version: &str,
        to: impl Fn(T) -> Result<B, String> + Send + Sync + 'static,
        from: impl Fn(B) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, DefinitionError> {
        let refused = || DefinitionError::Backing { version: api_version.to_owned() };
        let version = GroupVersion::parse(api_version).ok_or_else(refused)?;
        if version.group.is_empty() || version.group == self.descriptor.resource.group {
            return Err(refused());
        }
        self.descriptor.resource.group = version.group.clone();
        self.descriptor.storage = self.descriptor.versions.len();
        self.descriptor.versions.push(kept_version(&version));
        self.backing = Some(Backing { version, to: Box::new(turn(to)), from: Box::new(turn(from)) });
        Ok(self)
    }

    fn read(object: &Object) -> Option<T> {
        serde_json::from_value(Value::Object(object.0.clone())).ok()
    }

    fn check(&self, object: &Object, old: Option<&Object>) -> FieldErrors {
        let mut errors = FieldErrors::new();
        match (Self::read(object), old.map(Self::read)) {
            (Some(new), None) => self.hooks.validate.iter().for_each(|check| check(&new, None, &mut errors)),
            (Some(new), Some(old)) => {
                self.hooks.validate.iter().for_each(|check| check(&new, old.as_ref(), &mut errors));
            }
            (None, _) if self.hooks.validate.is_empty() => {}
            (None, _) => {
                let why = format!("must be a {}", self.descriptor.kind);
                errors.push(FieldError::invalid(&FieldPath::new("spec"), &Value::Null, why));
            }
        }
        errors
    }
}

/// The version that objects are kept in: whatever the one who keeps them writes is in order.
fn kept_version(version: &GroupVersion) -> ResourceVersionInfo {
    ResourceVersionInfo {
        version: version.clone(),
        served: false,
        schema: Link::from(Schema { preserve_unknown: true, ..Schema::default() }),
        columns: [].into(),
        subresources: [].into(),
        selectable_fields: [].into(),
        deprecation_warning: None,
    }
}

/// A function between Rust types as one between values.
fn turn<A: DeserializeOwned + 'static, B: Serialize + 'static>(
    turn: impl Fn(A) -> Result<B, String> + Send + Sync + 'static,
) -> impl Fn(Value) -> Result<Value, String> + Send + Sync {
    move |value| {
        let read = serde_json::from_value(value).map_err(|error| error.to_string())?;
        serde_json::to_value(turn(read)?).map_err(|error| error.to_string())
    }
}

/// The content of an object: all but its type and metadata, which hooks do not change.
fn content(value: Value) -> Map<String, Value> {
    let Value::Object(mut map) = value else { return Map::new() };
    map.retain(|field, value| !matches!(field.as_str(), "apiVersion" | "kind" | "metadata") && !value.is_null());
    map
}

impl Backing {
    /// Turns an object into the other form.
    fn convert(&self, object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
        let turn = if *to == self.version { &self.to } else { &self.from };
        let turned = turn(Value::Object(object.0.clone())).map_err(ApiError::bad_request)?;
        replace_content(object, content(turned));
        object.0.insert("apiVersion".into(), to.to_string().into());
        Ok(())
    }
}

fn replace_content(object: &mut Object, content: Map<String, Value>) {
    object.0.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata"));
    object.0.extend(content);
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Resource for Typed<T> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn origin(&self) -> Origin {
        Origin::Custom
    }

    fn described_by(&self) -> Option<&Object> {
        Some(&self.definition)
    }

    fn convert(&self, object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
        let from = object.group_version();
        match &self.backing {
            _ if from.as_ref() == Some(to) => Ok(()),
            Some(backing) if *to == backing.version || from.as_ref() == Some(&backing.version) => {
                backing.convert(object, to)
            }
            _ => self.custom.convert(object, to),
        }
    }

    fn default(&self, version: &GroupVersion, object: &mut Object) {
        self.custom.default(version, object);
        if self.hooks.default.is_empty() || object.group_version().as_ref() != Some(version) {
            return;
        }
        let Some(mut typed) = Self::read(object) else { return };
        self.hooks.default.iter().for_each(|fill| fill(&mut typed));
        if let Ok(filled) = serde_json::to_value(&typed) {
            replace_content(object, content(filled));
        }
    }

    fn stamp(&self, cx: &RequestContext, object: &mut Object, old: Option<&Object>, part: Part) {
        self.custom.stamp(cx, object, old, part);
    }

    fn validate_create(&self, object: &Object) -> FieldErrors {
        let faults = self.custom.validate_create(object);
        if faults.is_empty() { self.check(object, None) } else { faults }
    }

    fn validate_update(&self, object: &Object, old: &Object, warn: &mut dyn FnMut(String)) -> FieldErrors {
        let faults = self.custom.validate_update(object, old, warn);
        if faults.is_empty() { self.check(object, Some(old)) } else { faults }
    }

    fn validate_status_update(&self, object: &Object, old: &Object, warn: &mut dyn FnMut(String)) -> FieldErrors {
        self.custom.validate_status_update(object, old, warn)
    }

    fn warnings(&self, object: &Object, old: Option<&Object>) -> Vec<String> {
        let mut warnings = self.custom.warnings(object, old);
        if let Some(typed) = Self::read(object).filter(|_| !self.hooks.warn.is_empty()) {
            warnings.extend(self.hooks.warn.iter().flat_map(|warn| warn(&typed)));
        }
        warnings
    }

    fn cells(&self, version: &GroupVersion, object: &Object, now: Timestamp) -> Vec<Value> {
        self.custom.cells(version, object, now)
    }

    fn generation_policy(&self) -> GenerationPolicy {
        self.custom.generation_policy()
    }

    fn unconditional_update(&self) -> bool {
        self.custom.unconditional_update()
    }

    fn reset_fields(&self, part: Part) -> Vec<&'static str> {
        self.custom.reset_fields(part)
    }
}
