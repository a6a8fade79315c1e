//! The paths that are not of a resource: discovery, the release, and what checks tokens of service accounts.

use super::operation::{ENCODINGS, Model, Operation, Paths, capitalized, group_word};

/// A document of such paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Index {
    /// `/.well-known/openid-configuration`.
    Issuer,
    /// `/api`.
    Core,
    /// `/apis`.
    Groups,
    /// `/apis/apps`.
    Group(String),
    /// `/openid/v1/jwks`.
    Keys,
    /// `/version`.
    Release,
}

impl Index {
    /// The documents of a cluster that serves these built-in groups.
    pub(super) fn all(groups: impl Iterator<Item = String>) -> Vec<Self> {
        let mut all = vec![Self::Issuer, Self::Core, Self::Groups, Self::Keys, Self::Release];
        all.extend(groups.filter(|group| !group.is_empty()).map(Self::Group));
        all
    }

    /// The path without the slash it begins with.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Issuer => ".well-known/openid-configuration".into(),
            Self::Core => "api".into(),
            Self::Groups => "apis".into(),
            Self::Group(group) => format!("apis/{group}"),
            Self::Keys => "openid/v1/jwks".into(),
            Self::Release => "version".into(),
        }
    }

    /// Adds the path.
    pub(super) fn add(&self, paths: &mut Paths) {
        let word = |group: &str| group_word(group);
        let (id, tag, description, answer) = match self {
            Self::Issuer => (
                "getServiceAccountIssuerOpenIDConfiguration".into(),
                "WellKnown".into(),
                "get what OpenID Connect discovery tells of the issuer of service account tokens",
                Model::Text,
            ),
            Self::Core => ("getCoreAPIVersions".into(), "core".into(), VERSIONS, Model::Type("meta.v1.APIVersions")),
            Self::Groups => ("getAPIVersions".into(), "apis".into(), VERSIONS, Model::Type("meta.v1.APIGroupList")),
            Self::Group(group) => (
                format!("get{}APIGroup", capitalized(&word(group))),
                word(group),
                "get information of a group",
                Model::Type("meta.v1.APIGroup"),
            ),
            Self::Keys => (
                "getServiceAccountIssuerOpenIDKeyset".into(),
                "openid".into(),
                "get the public keys that service account tokens are checked with",
                Model::Text,
            ),
            Self::Release => (
                "getCodeVersion".into(),
                "version".into(),
                "get the release of this server",
                Model::Type("version.Info"),
            ),
        };
        let (consumes, produces): (&[&str], &[&str]) = match self {
            Self::Issuer => (&[], &["application/json"]),
            Self::Keys => (&[], &["application/jwk-set+json"]),
            Self::Release => (&["application/json"], &["application/json"]),
            Self::Core | Self::Groups | Self::Group(_) => (ENCODINGS, ENCODINGS),
        };
        let operation = Operation { consumes, produces, ..reading(id, tag, description.into(), answer) };
        paths.insert(format!("/{}/", self.path()), vec![operation]);
    }
}

const VERSIONS: &str = "get available API versions";

/// Adds the path that lists the resources of a version: `/apis/apps/v1/`.
pub(super) fn add_resource_list(group: &str, version: &str, paths: &mut Paths) {
    let word = group_word(group);
    let id = format!("get{}{}APIResources", capitalized(&word), capitalized(version));
    let description = "get available resources".to_owned();
    let answer = Model::Type("meta.v1.APIResourceList");
    let operation = reading(id, format!("{word}_{version}"), description, answer);
    let base = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    paths.insert(format!("{base}/{version}/"), vec![operation]);
}

fn reading(id: String, tag: String, description: String, answer: Model) -> Operation {
    Operation {
        method: "get",
        id,
        tag,
        description,
        action: None,
        parameters: Vec::new(),
        body: None,
        consumes: ENCODINGS,
        produces: ENCODINGS,
        statuses: &[200],
        answer,
    }
}
