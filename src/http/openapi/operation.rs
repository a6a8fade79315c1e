//! What can be done at a path, before it is written in either version of OpenAPI.

use std::collections::BTreeMap;

use atoll_api::GroupVersionKind;

use super::parameters::Parameter;

/// What can be done, by path.
pub(super) type Paths = BTreeMap<String, Vec<Operation>>;

/// One thing that can be done at a path.
#[derive(Debug)]
pub(super) struct Operation {
    /// The method, as OpenAPI writes it: `get`.
    pub(super) method: &'static str,
    /// What client generators name their functions after; unique in a document.
    pub(super) id: String,
    /// What client generators name their classes after.
    pub(super) tag: String,
    pub(super) description: String,
    /// What is done to which kind; nothing for what has no kind.
    pub(super) action: Option<(&'static str, GroupVersionKind)>,
    /// Without the body.
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Sent>,
    /// The media types of the body. OpenAPI 2 names them even where nothing is sent.
    pub(super) consumes: &'static [&'static str],
    /// The media types of answers.
    pub(super) produces: &'static [&'static str],
    /// The statuses of success, each of which comes with the same type of object.
    pub(super) statuses: &'static [u16],
    pub(super) answer: Model,
}

/// What a request's body holds.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) model: Model,
    pub(super) need: Need,
}

/// Whether there must be a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// The type of what is sent or answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Model {
    /// Text, such as a log.
    Text,
    /// An object that nothing is known of.
    Object,
    /// A type of the catalog, such as `apps.v1.Deployment`.
    Type(&'static str),
    /// Lists of a type of the catalog, by that type and their kind.
    List(&'static str, String),
    /// The definition of a custom kind or of its lists.
    Custom(String),
}

/// The answer to a deletion, and to whatever else has nothing better to tell.
pub(super) const STATUS: Model = Model::Type("meta.v1.Status");
/// A change of any form.
pub(super) const PATCH: Model = Model::Type("meta.v1.Patch");
/// How a deletion is to go.
pub(super) const DELETE_OPTIONS: Model = Model::Type("meta.v1.DeleteOptions");
/// What a watch sends.
pub(super) const WATCH_EVENT: Model = Model::Type("meta.v1.WatchEvent");

/// The encodings of built-in kinds.
pub(super) const ENCODINGS: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// Those of what may be watched too.
pub(super) const STREAMS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
/// The encodings of custom kinds.
pub(super) const CUSTOM_ENCODINGS: &[&str] = &["application/json", "application/yaml"];
/// Whatever there is.
pub(super) const ANYTHING: &[&str] = &["*/*"];
/// The forms of patches.
pub(super) const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// Those that custom kinds take, whose lists have no merge keys.
pub(super) const CUSTOM_PATCHES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

/// A group as a word: `stable.example.com` is `stableExampleCom`, and Kubernetes' own go without their `k8s.io`.
pub(super) fn group_word(group: &str) -> String {
    match group {
        "" => "core".to_owned(),
        _ => word(group.strip_suffix(".k8s.io").unwrap_or(group)),
    }
}

/// Text as part of a name in a programming language: what follows anything but a letter or digit begins with a capital.
fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    let mut begins = false;
    for letter in text.chars() {
        let fits = letter.is_alphabetic() || letter == '_' || (letter.is_numeric() && !word.is_empty());
        match (fits, begins) {
            (true, true) => word.extend(letter.to_uppercase()),
            (true, false) => word.push(letter),
            (false, _) => {}
        }
        begins = !fits;
    }
    word
}

/// The same with a capital at the beginning.
pub(super) fn capitalized(text: &str) -> String {
    let word = word(text);
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_become_words() {
        let cases = [
            ("", "core"),
            ("apps", "apps"),
            ("rbac.authorization.k8s.io", "rbacAuthorization"),
            ("stable.example.com", "stableExampleCom"),
            ("a-b.example.io", "aBExampleIo"),
            ("gateway.networking.x-k8s.io", "gatewayNetworkingXK8sIo"),
        ];
        for (group, expected) in cases {
            assert_eq!(group_word(group), expected);
        }
        assert_eq!(capitalized("v1beta1"), "V1beta1");
        assert_eq!(capitalized("8s"), "S");
    }
}
