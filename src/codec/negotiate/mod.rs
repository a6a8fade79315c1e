//! What encoding and shape an answer gets, by the request's `Accept`, and what encoding a body has, by its `Content-Type`.
//!
//! Follows `apiserver/pkg/endpoints/handlers/negotiation`; which encodings and shapes an endpoint has is told by the caller.

mod accept;

use atoll_api::{ApiError, ApiResult, Query, Reason};

pub use accept::{Clause, parse_accept};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// All encodings, in the order in which Kubernetes lists them.
pub const ENCODINGS: &[Encoding] = &[Encoding::Json, Encoding::Yaml, Encoding::Protobuf];

impl Encoding {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The media type of a watch stream; YAML has none.
    pub fn stream_media_type(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("application/json;stream=watch"),
            Self::Yaml => None,
            Self::Protobuf => Some("application/vnd.kubernetes.protobuf;stream=watch"),
        }
    }

    /// The `Content-Type` of a watch stream: plain for JSON.
    pub fn stream_content_type(self) -> &'static str {
        match self {
            Self::Json => self.media_type(),
            _ => self.stream_media_type().unwrap_or(self.media_type()),
        }
    }
}

/// The type that a client wants an answer turned into (`as`, `g` and `v` in `Accept`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The kind, such as `Table`.
    pub kind: String,
    /// The group.
    pub group: String,
    /// The version.
    pub version: String,
}

/// A version of `meta.k8s.io`, of tables and bare metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaVersion {
    /// `meta.k8s.io/v1`.
    V1,
    /// `meta.k8s.io/v1beta1`.
    V1beta1,
}

impl MetaVersion {
    /// The `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What an answer about objects is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Shape {
    /// Nothing: objects are answered as they are.
    #[default]
    Plain,
    /// A `Table`.
    Table(MetaVersion),
    /// A `PartialObjectMetadata`.
    Partial(MetaVersion),
    /// A `PartialObjectMetadataList`.
    PartialList(MetaVersion),
}

impl Target {
    /// The shape it names; `None` if there is none of that name.
    pub fn shape(&self) -> Option<Shape> {
        let version = match (self.group.as_str(), self.version.as_str()) {
            ("meta.k8s.io", "v1") => MetaVersion::V1,
            ("meta.k8s.io", "v1beta1") => MetaVersion::V1beta1,
            _ => return None,
        };
        match self.kind.as_str() {
            "Table" => Some(Shape::Table(version)),
            "PartialObjectMetadata" => Some(Shape::Partial(version)),
            "PartialObjectMetadataList" => Some(Shape::PartialList(version)),
            _ => None,
        }
    }
}

/// What an endpoint can answer with.
pub trait Offer {
    /// Whether it can answer in an encoding, turned into a type if the client names one.
    fn allows(&self, encoding: Encoding, target: Option<&Target>) -> bool;
}

/// An endpoint that answers with objects of a resource.
#[derive(Debug, Clone, Copy)]
pub struct ObjectOffer<'a> {
    /// The encodings of the objects themselves: not protobuf for custom resources.
    pub encodings: &'a [Encoding],
}

impl Offer for ObjectOffer<'_> {
    fn allows(&self, encoding: Encoding, target: Option<&Target>) -> bool {
        match target.map(Target::shape) {
            None => self.encodings.contains(&encoding),
            // There is no protobuf of tables, as their cells are of any type.
            Some(Some(Shape::Table(_))) => encoding != Encoding::Protobuf,
            Some(shape) => shape.is_some(),
        }
    }
}

/// An endpoint that answers with objects which are no rows of any table, such as reviews.
#[derive(Debug, Clone, Copy)]
pub struct UntabledOffer;

impl Offer for UntabledOffer {
    fn allows(&self, encoding: Encoding, target: Option<&Target>) -> bool {
        let is_table = matches!(target.map(Target::shape), Some(Some(Shape::Table(_))));
        !is_table && ObjectOffer { encodings: ENCODINGS }.allows(encoding, target)
    }
}

/// An endpoint that answers with one document that cannot be turned into anything, such as a `Status`.
#[derive(Debug, Clone, Copy)]
pub struct PlainOffer;

impl Offer for PlainOffer {
    fn allows(&self, _: Encoding, target: Option<&Target>) -> bool {
        target.is_none()
    }
}

/// What was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// How the answer is written.
    pub encoding: Encoding,
    /// What it is turned into.
    pub target: Option<Target>,
    /// Whether the clause asks for text that is indented for people (`pretty=1`).
    pub pretty: bool,
    /// `profile`, which discovery knows.
    pub profile: Option<String>,
}

impl Negotiated {
    /// The shape of an answer about objects.
    pub fn shape(&self) -> Shape {
        self.target.as_ref().and_then(Target::shape).unwrap_or_default()
    }
}

/// Finds what to answer with; no `Accept` at all means JSON.
pub fn negotiate(accept: &str, offer: &dyn Offer) -> ApiResult<Negotiated> {
    find(accept, offer).ok_or_else(|| not_acceptable(&media_types(ENCODINGS.iter().map(|e| Some(e.media_type())))))
}

/// Finds how to answer with a watch stream.
pub fn negotiate_stream(accept: &str, offer: &dyn Offer) -> ApiResult<Negotiated> {
    let found = find(accept, offer).filter(|found| found.encoding.stream_media_type().is_some());
    found.ok_or_else(|| not_acceptable(&media_types(ENCODINGS.iter().map(|e| e.stream_media_type()))))
}

/// How to write a `Status` about a request that failed: as the client wants it, or else as JSON.
pub fn negotiate_status(accept: &str) -> Negotiated {
    let json = Negotiated { encoding: Encoding::Json, target: None, pretty: false, profile: None };
    find(accept, &PlainOffer).unwrap_or(json)
}

/// Whether an answer is indented for people: by the query, or because the client is a tool that people look at.
pub fn wants_pretty(query: &Query, user_agent: &str) -> bool {
    match query.first("pretty").filter(|value| !value.is_empty()) {
        Some(value) => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        None => ["curl", "Wget", "Mozilla/5.0"].iter().any(|tool| user_agent.starts_with(tool)),
    }
}

/// The first clause that fits, with the first encoding that fits it.
fn find(accept: &str, offer: &dyn Offer) -> Option<Negotiated> {
    if accept.is_empty() {
        return Some(Negotiated { encoding: Encoding::Json, target: None, pretty: false, profile: None });
    }
    parse_accept(accept).iter().find_map(|clause| {
        let fitting = ENCODINGS.iter().filter(|encoding| clause.fits(encoding.media_type()));
        fitting.copied().find_map(|encoding| accept_clause(clause, encoding, offer))
    })
}

fn accept_clause(clause: &Clause<'_>, encoding: Encoding, offer: &dyn Offer) -> Option<Negotiated> {
    let parameter = |name: &str| clause.parameter(name);
    let named = [parameter("as"), parameter("g"), parameter("v")];
    let target = named.iter().any(Option::is_some).then(|| {
        let [kind, group, version] = named.map(|value| value.unwrap_or_default().to_owned());
        Target { kind, group, version }
    });
    let stream = parameter("stream").filter(|stream| !stream.is_empty());
    let streams = stream.is_none_or(|stream| stream == "watch" && encoding.stream_media_type().is_some());
    let server_version = parameter("sv").is_none_or(|version| version.is_empty() || version == "v1");
    if !streams || !server_version || !offer.allows(encoding, target.as_ref()) {
        return None;
    }
    let pretty = parameter("pretty") == Some("1");
    Some(Negotiated { encoding, target, pretty, profile: parameter("profile").map(str::to_owned) })
}

/// How a body is written, by its `Content-Type`; none at all means JSON.
pub fn body_encoding(content_type: &str) -> ApiResult<Encoding> {
    if content_type.is_empty() {
        return Ok(Encoding::Json);
    }
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let encoding = ENCODINGS.iter().find(|encoding| encoding.media_type().eq_ignore_ascii_case(media_type));
    encoding
        .copied()
        .ok_or_else(|| unsupported_media_type(&ENCODINGS.iter().map(|e| e.media_type()).collect::<Vec<_>>()))
}

/// Refuses a body in none of the accepted media types.
pub fn unsupported_media_type(accepted: &[&str]) -> ApiError {
    let message = "the body of the request was in an unknown format - accepted media types include";
    ApiError::new(Reason::UnsupportedMediaType, format!("{message}: {}", accepted.join(", ")))
}

/// Refuses a request whose `Accept` names nothing that a built-in endpoint produces.
///
/// Kubernetes' router compares whole media types, so a partial wildcard such as `application/*` does not fit here.
pub fn check_route(accept: &str, produces: &[&str]) -> ApiResult<()> {
    let media_types = || accept.split(',').map(|clause| clause.split(';').next().unwrap_or_default().trim());
    if accept.is_empty() || media_types().any(|media_type| media_type == "*/*" || produces.contains(&media_type)) {
        return Ok(());
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}", produces.join(", "));
    Err(ApiError::with_details(Reason::NotAcceptable, message, Some(Default::default())))
}

fn media_types<'a>(types: impl Iterator<Item = Option<&'a str>>) -> String {
    types.flatten().collect::<Vec<_>>().join(", ")
}

fn not_acceptable(accepted: &str) -> ApiError {
    ApiError::new(Reason::NotAcceptable, format!("only the following media types are accepted: {accepted}"))
}

#[cfg(test)]
mod tests;
