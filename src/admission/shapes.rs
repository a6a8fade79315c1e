//! The forms in which objects of a resource can be shown, for plugins that show them to others. The registry knows them.

use std::fmt;
use std::sync::Arc;

use atoll_api::{
    ApiError, ApiResult, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource, LogicalClusterName,
    Object, Value,
};

/// A version of a resource, as clients name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Group, version and resource.
    pub resource: GroupVersionResource,
    /// Group, version and kind.
    pub kind: GroupVersionKind,
}

/// Which fields an object that was changed in admission may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// Any; those that do not exist go without a word.
    Any,
    /// Those that exist only.
    Known,
}

/// The forms of the objects of one resource.
pub trait Shapes: fmt::Debug + Send + Sync {
    /// The versions the resource is served in, the preferred one first.
    fn versions(&self) -> Vec<Shape>;

    /// An object of the version in which it is admitted in another one.
    fn show(&self, object: &Object, version: &GroupVersion) -> ApiResult<Object>;

    /// An object that somebody has changed in that version, read again as clients' objects are, in the version
    /// in which it is admitted.
    fn take(&self, value: Value, version: &GroupVersion, fields: Fields) -> ApiResult<Object>;

    /// An object in that version with part of another laid over it, lists and maps merged as the schema says; or why it
    /// cannot be.
    fn overlay(&self, object: &Value, part: &Value, version: &GroupVersion) -> Result<Value, String>;
}

/// A kind that a cluster serves.
#[derive(Debug, Clone)]
pub struct Served {
    /// The resource under which its objects are stored.
    pub stored: GroupResource,
    /// The version that was asked for.
    pub version: GroupVersion,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
    /// The forms of its objects.
    pub shapes: Arc<dyn Shapes>,
}

/// Knows the kinds that clusters serve.
pub trait Kinds: Send + Sync {
    /// The kind of that group, version and name, if the cluster serves it.
    fn find(&self, cluster: &LogicalClusterName, kind: &GroupVersionKind) -> Option<Served>;
}

/// Why an object could not be read, without the words that Kubernetes adds for clients only.
pub(super) fn plain(error: &ApiError) -> String {
    let message = &error.status.message;
    let read = message.split_once(" cannot be handled as a ").and_then(|(_, rest)| rest.split_once(": "));
    read.map_or(message.as_str(), |(_, why)| why).to_owned()
}
