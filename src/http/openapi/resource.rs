//! The paths of a resource, with what can be done at each, from what the registry knows of it.
//!
//! Names of operations are those of Kubernetes' own documents, since client libraries are generated from them.

use atoll_api::GroupVersionKind;

use super::operation::{
    ANYTHING, CUSTOM_ENCODINGS, CUSTOM_PATCHES, DELETE_OPTIONS, ENCODINGS, Model, Need, Operation, PATCH, PATCHES,
    Paths, STATUS, STREAMS, Sent, WATCH_EVENT, capitalized, group_word,
};
use super::parameters::{self, OF_WATCHES, PROXIED, Parameter, RESOURCE_VERSION, queries};
use crate::registry::descriptor::{Descriptor, GET_PATCH_UPDATE, ResourceVersionInfo, Subresource, Verb};
use crate::registry::resource::{Origin, Resource};
use crate::resources::catalog::type_of_kind;
use crate::schema::openapi::definition_name;

/// What subresources are reached by whose verbs are all there are, in no order.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Adds the paths of one version of a resource.
pub(super) fn add(resource: &dyn Resource, info: &ResourceVersionInfo, paths: &mut Paths) {
    let served = Served::new(resource, info);
    served.add_collection(paths);
    served.add_object(paths);
    for sub in info.subresources.iter() {
        served.add_subresource(sub, paths);
    }
    if served.is_watched() {
        served.add_watches(paths);
    }
}

/// Where in the API something is done: all that differs between namespaced resources and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// In the one place where objects are: the namespace of the path, or the cluster.
    Here,
    /// In all namespaces.
    AllNamespaces,
}

/// One version of a resource, with what all its operations have in common.
struct Served<'a> {
    resource: &'a dyn Resource,
    descriptor: &'a Descriptor,
    info: &'a ResourceVersionInfo,
    origin: Origin,
    /// `/apis/apps/v1`.
    base: String,
    /// The type of one object.
    model: Model,
}

impl<'a> Served<'a> {
    fn new(resource: &'a dyn Resource, info: &'a ResourceVersionInfo) -> Self {
        let descriptor = resource.descriptor();
        let origin = resource.origin();
        let (group, version) = (&info.version.group, &info.version.version);
        let model = match origin {
            Origin::Builtin => model_of(group, version, &descriptor.kind),
            Origin::Custom => Model::Custom(definition_name(group, version, &descriptor.kind)),
        };
        Self { resource, descriptor, info, origin, base: base(info), model }
    }

    fn has(&self, verb: Verb) -> bool {
        self.descriptor.verbs.contains(&verb)
    }

    /// Whether there are paths below `/watch`. Custom kinds, which are younger, have none.
    fn is_watched(&self) -> bool {
        self.origin == Origin::Builtin && self.has(Verb::Watch)
    }

    fn kind(&self) -> GroupVersionKind {
        let version = &self.info.version;
        GroupVersionKind::new(version.group.clone(), version.version.clone(), self.descriptor.kind.clone())
    }

    /// The path of the collection, such as `/apis/apps/v1/namespaces/{namespace}/deployments`, without what it begins with.
    fn collection(&self, reach: Reach) -> String {
        let within = match reach {
            Reach::Here if self.descriptor.is_namespaced() => "/namespaces/{namespace}",
            Reach::Here | Reach::AllNamespaces => "",
        };
        format!("{within}/{}", self.descriptor.resource.resource)
    }

    /// The rest of an operation's name: the kind with what is before and after it.
    fn rest(&self, reach: Reach, after: &str) -> String {
        let (before, end) = match reach {
            Reach::AllNamespaces => ("", "ForAllNamespaces"),
            Reach::Here if self.descriptor.is_namespaced() => ("Namespaced", ""),
            Reach::Here => ("", ""),
        };
        format!("{before}{}{after}{end}", self.descriptor.kind)
    }

    /// The parameters of a collection's path.
    fn in_path(&self, reach: Reach) -> Vec<Parameter> {
        let namespaced = reach == Reach::Here && self.descriptor.is_namespaced();
        namespaced.then(parameters::namespace).into_iter().collect()
    }

    /// The parameters of an object's path.
    fn in_path_of_object(&self) -> Vec<Parameter> {
        let mut parameters = self.in_path(Reach::Here);
        parameters.push(parameters::name_of(&self.descriptor.kind));
        parameters
    }

    /// An operation that takes nothing and answers with an object; the others are made of it.
    fn operation(&self, method: &'static str, verb: &str, rest: &str, action: &'static str) -> Operation {
        let version = &self.info.version;
        let group = group_word(&version.group);
        Operation {
            method,
            id: format!("{verb}{}{}{rest}", capitalized(&group), capitalized(&version.version)),
            tag: format!("{group}_{}", version.version),
            description: String::new(),
            action: Some((action, self.kind())),
            parameters: queries(parameters::PRETTY).collect(),
            body: None,
            consumes: self.consumes(),
            produces: self.produces(),
            statuses: &[200],
            answer: self.model.clone(),
        }
    }

    fn consumes(&self) -> &'static [&'static str] {
        match self.origin {
            Origin::Builtin => ANYTHING,
            Origin::Custom => CUSTOM_ENCODINGS,
        }
    }

    fn produces(&self) -> &'static [&'static str] {
        match self.origin {
            Origin::Builtin => ENCODINGS,
            Origin::Custom => CUSTOM_ENCODINGS,
        }
    }

    fn add_collection(&self, paths: &mut Paths) {
        let kind = &self.descriptor.kind;
        let path = format!("{}{}", self.base, self.collection(Reach::Here));
        let mut operations = Vec::new();
        if self.has(Verb::List) {
            operations.push(self.list(Reach::Here));
        }
        if self.has(Verb::Create) {
            let description = format!("create {} {kind}", article(kind));
            operations.push(Operation { description, ..self.create(&self.rest(Reach::Here, ""), self.model.clone()) });
        }
        if self.has(Verb::DeleteCollection) {
            operations.push(self.delete_collection());
        }
        self.put(paths, path, operations, &self.in_path(Reach::Here));
        if self.descriptor.is_namespaced() && self.has(Verb::List) {
            let path = format!("{}{}", self.base, self.collection(Reach::AllNamespaces));
            self.put(paths, path, vec![self.list(Reach::AllNamespaces)], &[]);
        }
    }

    fn list(&self, reach: Reach) -> Operation {
        let mut operation = self.operation("get", "list", &self.rest(reach, ""), "list");
        let kind = &self.descriptor.kind;
        operation.description = match self.is_watched() {
            true => format!("list or watch objects of kind {kind}"),
            false => format!("list objects of kind {kind}"),
        };
        if self.origin == Origin::Builtin {
            operation.produces = STREAMS;
        }
        operation.parameters.extend(queries(parameters::LIST));
        let (group, version, kind) = (&self.info.version.group, &self.info.version.version, &self.descriptor.list_kind);
        operation.answer = match &self.model {
            Model::Type(name) => Model::List(name, kind.to_string()),
            Model::Custom(_) => Model::Custom(definition_name(group, version, kind)),
            other => other.clone(),
        };
        operation
    }

    fn delete_collection(&self) -> Operation {
        let rest = format!("Collection{}", self.rest(Reach::Here, ""));
        let mut operation = self.operation("delete", "delete", &rest, "deletecollection");
        operation.description = format!("delete collection of {}", self.descriptor.kind);
        operation.answer = STATUS;
        match self.origin {
            // Kubernetes says of custom kinds what it says of lists.
            Origin::Custom => operation.parameters.extend(queries(parameters::LIST)),
            Origin::Builtin => {
                let of_lists = queries(parameters::LIST).filter(|parameter| !OF_WATCHES.contains(&parameter.name));
                operation.parameters.extend(of_lists.chain(queries(parameters::DELETE)));
                operation.body = Some(Sent { model: DELETE_OPTIONS, need: Need::Optional });
            }
        }
        operation
    }

    fn add_object(&self, paths: &mut Paths) {
        let kind = &self.descriptor.kind;
        let path = format!("{}{}/{{name}}", self.base, self.collection(Reach::Here));
        let rest = self.rest(Reach::Here, "");
        let mut operations = Vec::new();
        if self.has(Verb::Get) {
            let description = format!("read the specified {kind}");
            operations.push(Operation { description, ..self.read(&rest, self.model.clone()) });
        }
        if self.has(Verb::Update) {
            let description = format!("replace the specified {kind}");
            operations.push(Operation { description, ..self.replace(&rest, self.model.clone()) });
        }
        if self.has(Verb::Delete) {
            let description = format!("delete {} {kind}", article(kind));
            let mut operation = Operation { description, ..self.operation("delete", "delete", &rest, "delete") };
            operation.parameters.extend(queries(parameters::DELETE));
            operation.body = Some(Sent { model: DELETE_OPTIONS, need: Need::Optional });
            operation.statuses = &[200, 202];
            // Namespaces are answered with as they are until they are finalized, which Kubernetes' documents do not tell.
            if !self.resource.returns_deleted_object() || self.info.subresource("finalize").is_some() {
                operation.answer = STATUS;
            }
            operations.push(operation);
        }
        if self.has(Verb::Patch) {
            let description = format!("partially update the specified {kind}");
            operations.push(Operation { description, ..self.patch(&rest, self.model.clone()) });
        }
        self.put(paths, path, operations, &self.in_path_of_object());
    }

    fn create(&self, rest: &str, model: Model) -> Operation {
        let mut operation = self.operation("post", "create", rest, "post");
        operation.parameters.extend(queries(parameters::WRITE));
        operation.body = Some(Sent { model: model.clone(), need: Need::Required });
        operation.statuses = &[200, 201, 202];
        operation.answer = model;
        operation
    }

    fn read(&self, rest: &str, model: Model) -> Operation {
        let mut operation = self.operation("get", "read", rest, "get");
        if self.origin == Origin::Custom {
            operation
                .parameters
                .extend(queries(parameters::LIST).filter(|parameter| parameter.name == RESOURCE_VERSION));
        }
        operation.answer = model;
        operation
    }

    fn replace(&self, rest: &str, model: Model) -> Operation {
        let mut operation = self.operation("put", "replace", rest, "put");
        operation.parameters.extend(queries(parameters::WRITE));
        operation.body = Some(Sent { model: model.clone(), need: Need::Required });
        operation.statuses = &[200, 201];
        operation.answer = model;
        operation
    }

    fn patch(&self, rest: &str, model: Model) -> Operation {
        let mut operation = self.operation("patch", "patch", rest, "patch");
        operation.parameters.extend(queries(parameters::PATCH));
        operation.body = Some(Sent { model: PATCH, need: Need::Required });
        (operation.consumes, operation.statuses) = match self.origin {
            Origin::Builtin => (PATCHES, &[200, 201][..]),
            Origin::Custom => (CUSTOM_PATCHES, &[200][..]),
        };
        operation.answer = model;
        operation
    }

    fn add_subresource(&self, sub: &Subresource, paths: &mut Paths) {
        let below = Below::new(self, sub);
        let path = format!("{}{}/{{name}}/{}", self.base, self.collection(Reach::Here), sub.name());
        let mut in_path = self.in_path_of_object();
        if !below.kind.kind.ends_with("Options") {
            return self.put(paths, path, self.operations_below(&below), &in_path);
        }
        self.put(paths, path.clone(), self.connections(&below, ""), &in_path);
        if parameters::of_options(&below.kind.kind).iter().any(|(name, ..)| *name == PROXIED) {
            in_path.push(parameters::path_behind());
            self.put(paths, format!("{path}/{{path}}"), self.connections(&below, "WithPath"), &in_path);
        }
    }

    fn operations_below(&self, below: &Below<'_>) -> Vec<Operation> {
        let (name, kind) = (below.name, &self.descriptor.kind);
        let rest = self.rest(Reach::Here, &capitalized(name));
        let model = || below.model.clone();
        // In the order of OpenAPI, whatever that of the verbs.
        let all = [Verb::Get, Verb::Update, Verb::Create, Verb::Patch].into_iter();
        let made = all.filter(|verb| below.verbs.contains(verb)).map(|verb| {
            let (operation, description) = match verb {
                Verb::Update => (self.replace(&rest, model()), format!("replace {name} of the specified {kind}")),
                Verb::Create => (self.create(&rest, model()), format!("create {name} of {} {kind}", article(kind))),
                Verb::Patch => (self.patch(&rest, model()), format!("partially update {name} of the specified {kind}")),
                _ => (self.read(&rest, model()), format!("read {name} of the specified {kind}")),
            };
            let mut operation = Operation { description, ..operation };
            if let Some((_, kind)) = &mut operation.action {
                *kind = below.kind.clone();
            }
            if below.model == Model::Text {
                operation.produces = LOGS;
                operation.parameters.extend(queries(parameters::of_options(&below.options)));
            }
            operation
        });
        made.collect()
    }

    /// What is passed on to somebody else: by GET and POST, or by all methods there are if it may be anything.
    fn connections(&self, below: &Below<'_>, end: &str) -> Vec<Operation> {
        let all = below.verbs.contains(&Verb::Delete);
        let methods = METHODS.into_iter().filter(|method| all || matches!(*method, "get" | "post"));
        let made = methods.map(|method| {
            let after = format!("{}{end}", capitalized(below.name));
            let rest = format!("{}{}", capitalized(method), self.rest(Reach::Here, &after));
            let mut operation = self.operation(method, "connect", &rest, "connect");
            let name = method.to_ascii_uppercase();
            operation.description = format!("connect {name} requests to {} of {}", below.name, self.descriptor.kind);
            operation.action = Some(("connect", below.kind.clone()));
            operation.parameters = queries(parameters::of_options(&below.kind.kind)).collect();
            operation.produces = ANYTHING;
            operation.answer = Model::Text;
            operation
        });
        made.collect()
    }

    /// The paths below `/watch`, which are there for old clients.
    fn add_watches(&self, paths: &mut Paths) {
        let kind = &self.descriptor.kind;
        let watch = |reach, after: &str, action, text: &str| {
            let mut operation = self.operation("get", "watch", &self.rest(reach, after), action);
            operation.description =
                format!("watch {text} {kind}. deprecated: list with the parameter 'watch' instead.");
            operation.parameters.extend(queries(parameters::LIST));
            operation.produces = STREAMS;
            operation.answer = WATCH_EVENT;
            vec![operation]
        };
        let path = |reach| format!("{}/watch{}", self.base, self.collection(reach));
        if self.has(Verb::List) {
            let all = watch(Reach::Here, "List", "watchlist", "objects of kind");
            self.put(paths, path(Reach::Here), all, &self.in_path(Reach::Here));
            if self.descriptor.is_namespaced() {
                let everywhere = watch(Reach::AllNamespaces, "List", "watchlist", "objects of kind");
                self.put(paths, path(Reach::AllNamespaces), everywhere, &[]);
            }
        }
        let one = watch(Reach::Here, "", "watch", "one object of kind");
        self.put(paths, format!("{}/{{name}}", path(Reach::Here)), one, &self.in_path_of_object());
    }

    /// Puts operations at a path, each with the parameters of the path.
    fn put(&self, paths: &mut Paths, path: String, mut operations: Vec<Operation>, in_path: &[Parameter]) {
        if operations.is_empty() {
            return;
        }
        operations.iter_mut().for_each(|operation| operation.parameters.extend_from_slice(in_path));
        paths.insert(path, operations);
    }
}

/// The media types of logs.
const LOGS: &[&str] = &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// A subresource.
struct Below<'a> {
    name: &'a str,
    /// The kind of what is sent and answered, as operations name it.
    kind: GroupVersionKind,
    verbs: &'a [Verb],
    model: Model,
    /// The kind of options that its query stands for, if it has some.
    options: String,
}

impl<'a> Below<'a> {
    fn new(of: &Served<'_>, sub: &'a Subresource) -> Self {
        let (name, parent) = (sub.name(), of.kind());
        let options = format!("{}{}Options", parent.kind, capitalized(name));
        match sub {
            Subresource::Status | Subresource::Part(_) => {
                Self { name, kind: parent, verbs: GET_PATCH_UPDATE, model: of.model.clone(), options }
            }
            Subresource::Scale(_) => {
                let scale = GroupVersionKind::new("autoscaling", "v1", "Scale");
                // Kubernetes names the kind itself where it is a custom one.
                let kind = if of.origin == Origin::Custom { parent } else { scale };
                Self { name, kind, verbs: GET_PATCH_UPDATE, model: Model::Type("autoscaling.v1.Scale"), options }
            }
            Subresource::Other { kind, verbs, .. } => {
                let mut kind = kind.clone();
                if kind.version.is_empty() {
                    kind = GroupVersionKind { kind: kind.kind, ..parent.clone() };
                }
                // What can only be read and is not of its own kind is text: logs.
                let model = match *verbs == [Verb::Get] && kind == parent {
                    true => Model::Text,
                    false => model_of(&kind.group, &kind.version, &kind.kind),
                };
                Self { name, kind, verbs, model, options }
            }
        }
    }
}

/// Where a version of a group is: `/apis/apps/v1`.
fn base(info: &ResourceVersionInfo) -> String {
    match info.version.group.is_empty() {
        true => format!("/api/{}", info.version),
        false => format!("/apis/{}", info.version),
    }
}

fn model_of(group: &str, version: &str, kind: &str) -> Model {
    type_of_kind(group, version, kind).map_or(Model::Object, Model::Type)
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" }
}
