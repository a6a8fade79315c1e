//! What the expressions of admission policies and match conditions can refer to.
//!
//! Only the types are here; the values are those of a request, as JSON without types.

use std::sync::Arc;

use crate::decl::{DeclType, Length, ListMerge, Presence};
use crate::env::{Env, EnvBuilder};
use crate::typing::{LibraryType, Type};

/// An environment with `object`, `oldObject`, `request` and `namespaceObject`.
pub fn environment() -> EnvBuilder {
    Env::builder()
        .variable("object", Type::Dyn)
        .variable("oldObject", Type::Dyn)
        .data("namespaceObject", &namespace())
        .data("request", &request())
}

impl EnvBuilder {
    /// Adds `params`.
    #[must_use]
    pub fn with_params(self) -> Self {
        self.variable("params", Type::Dyn)
    }

    /// Adds `authorizer` and `authorizer.requestResource`.
    #[must_use]
    pub fn with_authorizer(self) -> Self {
        self.variable("authorizer", Type::Library(LibraryType::Authorizer))
            .variable("authorizer.requestResource", Type::Library(LibraryType::ResourceCheck))
    }

    /// Adds `variables`, whose fields are expressions of these types.
    #[must_use]
    pub fn with_variables(self, fields: impl IntoIterator<Item = (Arc<str>, Type)>) -> Self {
        self.composition("variables", "kubernetes.variables", fields)
    }
}

fn text() -> Arc<DeclType> {
    Arc::new(DeclType::string(Length::Unbounded))
}

fn texts() -> Arc<DeclType> {
    Arc::new(DeclType::list(text(), None, ListMerge::Atomic))
}

fn object<const N: usize>(name: &str, fields: [(&str, Arc<DeclType>); N]) -> Arc<DeclType> {
    let object = fields
        .into_iter()
        .fold(DeclType::object(Some(name)), |object, (field, decl)| object.field(field, decl, Presence::Optional));
    Arc::new(object.build())
}

fn request() -> Arc<DeclType> {
    let kind = || object("kubernetes.GroupVersionKind", [("group", text()), ("version", text()), ("kind", text())]);
    let resource =
        || object("kubernetes.GroupVersionResource", [("group", text()), ("version", text()), ("resource", text())]);
    let extra = Arc::new(DeclType::map(texts(), None));
    let user = [("username", text()), ("uid", text()), ("groups", texts()), ("extra", extra)];
    let fields = [
        ("kind", kind()),
        ("resource", resource()),
        ("subResource", text()),
        ("requestKind", kind()),
        ("requestResource", resource()),
        ("requestSubResource", text()),
        ("name", text()),
        ("namespace", text()),
        ("operation", text()),
        ("userInfo", object("kubernetes.UserInfo", user)),
        ("dryRun", Arc::new(DeclType::bool())),
        ("options", Arc::new(DeclType::dynamic())),
    ];
    object("kubernetes.AdmissionRequest", fields)
}

fn namespace() -> Arc<DeclType> {
    let time = || Arc::new(DeclType::date_time());
    let number = || Arc::new(DeclType::int());
    let labels = || Arc::new(DeclType::map(text(), None));
    let condition =
        [("status", text()), ("type", text()), ("lastTransitionTime", time()), ("message", text()), ("reason", text())];
    let condition = object("kubernetes.NamespaceCondition", condition);
    let conditions = Arc::new(DeclType::list(condition, None, ListMerge::Atomic));
    let metadata = [
        ("name", text()),
        ("generateName", text()),
        ("namespace", text()),
        ("labels", labels()),
        ("annotations", labels()),
        // In capitals in Kubernetes, too.
        ("UID", text()),
        ("creationTimestamp", time()),
        ("deletionGracePeriodSeconds", number()),
        ("deletionTimestamp", time()),
        ("generation", number()),
        ("resourceVersion", text()),
        ("finalizers", texts()),
    ];
    let fields = [
        ("metadata", object("kubernetes.NamespaceMetadata", metadata)),
        ("spec", object("kubernetes.NamespaceSpec", [("finalizers", texts())])),
        ("status", object("kubernetes.NamespaceStatus", [("conditions", conditions), ("phase", text())])),
    ];
    object("kubernetes.Namespace", fields)
}
