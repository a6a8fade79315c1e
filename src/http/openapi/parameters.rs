//! What may be said in paths and queries, as data: names, types and what they are for.
//!
//! Which request takes which of them is said in `resource.rs`.

use std::borrow::Cow;

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    Path,
    Query,
}

/// A parameter of a request.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// The type in OpenAPI.
    pub(super) value: &'static str,
    pub(super) description: Cow<'static, str>,
}

/// A parameter in the query: name, type and description.
type Query = (&'static str, &'static str, &'static str);

/// How the answer is written.
pub(super) const PRETTY: &[Query] = &[(
    "pretty",
    "string",
    "With 'true' the answer is indented for people. Without it, it is for browsers, curl and wget only.",
)];

/// What lists and watches may be asked for.
pub(super) const LIST: &[Query] = &[
    (
        "allowWatchBookmarks",
        "boolean",
        "Whether a watch may send events of type BOOKMARK, which tell the current resource version and nothing else. When they \
         come, if ever, is up to the server. Without a watch it has no meaning.",
    ),
    (
        "continue",
        "string",
        "The token of the page before, which asks for the next one; all else must be as it was asked for then. A token that is \
         too old is answered with 410 (Gone) and a new one, with which the list goes on from the newest state.",
    ),
    (
        "fieldSelector",
        "string",
        "Restricts the list of returned objects to those whose fields are like this. All if it is not given.",
    ),
    (
        "labelSelector",
        "string",
        "Restricts the list of returned objects to those whose labels are like this. All if it is not given.",
    ),
    (
        "limit",
        "integer",
        "How many objects a page holds at most. If there are more, the metadata of the list has a `continue` token. All pages \
         show the state at the time of the first. It cannot be used with a watch.",
    ),
    (
        "resourceVersion",
        "string",
        "How new the state must be that the answer is made of, and, for a watch, where it begins. See \
         https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
    ),
    (
        "resourceVersionMatch",
        "string",
        "Whether the state must be exactly that of `resourceVersion` or may be newer: `Exact` or `NotOlderThan`. See \
         https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Whether a watch begins with an event for each object there is, and a bookmark with the annotation \
         `k8s.io/initial-events-end` after the last. It needs `resourceVersionMatch=NotOlderThan`.",
    ),
    (
        "shardSelector",
        "string",
        "Only objects whose uid or namespace has a hash in these ranges, such as \
         shardRange(object.metadata.uid, '0x0', '0x8000000000000000'); several are joined by ||.",
    ),
    ("timeoutSeconds", "integer", "After how many seconds the list or watch ends, whatever happens."),
    (
        "watch",
        "boolean",
        "Watch for changes to the described resources, which are sent as they happen, instead of a list of what there is. \
         `resourceVersion` says from where on.",
    ),
];

/// The parameter of lists that reads of one custom object are said to take too.
pub(super) const RESOURCE_VERSION: &str = "resourceVersion";

/// What of [`LIST`] has a meaning for watches only, and is not for deletions of whole collections.
pub(super) const OF_WATCHES: [&str; 2] = ["allowWatchBookmarks", "watch"];

const DRY_RUN: Query =
    ("dryRun", "string", "With `All`, everything is done but to store the outcome. Nothing else is accepted.");
const FIELD_VALIDATION: Query = (
    "fieldValidation",
    "string",
    "What happens to fields that are unknown or given twice: with `Ignore` nothing is said of them, with `Warn` (the default) \
     there is a warning for each, with `Strict` the request is refused.",
);

/// What creations and updates may be asked for.
pub(super) const WRITE: &[Query] = &[
    DRY_RUN,
    (
        "fieldManager",
        "string",
        "Who makes the change, for `managedFields`: at most 128 printable characters. The beginning of the user agent if it is \
         not given.",
    ),
    FIELD_VALIDATION,
];

/// What patches may be asked for.
pub(super) const PATCH: &[Query] = &[
    DRY_RUN,
    (
        "fieldManager",
        "string",
        "Who makes the change, for `managedFields`: at most 128 printable characters. Apply patches must have it; for others it \
         is the beginning of the user agent if it is not given.",
    ),
    FIELD_VALIDATION,
    ("force", "boolean", "Whether fields are taken over from others who own them. For apply patches only."),
];

/// What deletions may be asked for.
pub(super) const DELETE: &[Query] = &[
    DRY_RUN,
    (
        "gracePeriodSeconds",
        "integer",
        "How many seconds the object has to end; 0 is at once. What is usual for the kind if it is not given.",
    ),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Whether an object that cannot be read from the store is removed all the same, without regard to finalizers and \
         preconditions. What depends on it may break.",
    ),
    (
        "orphanDependents",
        "boolean",
        "Deprecated, use `propagationPolicy`: whether what the object owns stays. Only one of both may be given.",
    ),
    (
        "propagationPolicy",
        "string",
        "What happens to what the object owns: `Orphan` leaves it, `Background` deletes it afterwards, `Foreground` before the \
         object.",
    ),
];

const CONTAINER: &str = "The container it is about; may be left out if the pod has only one.";
const STDIN: Query = ("stdin", "boolean", "Whether the connection carries standard input.");
const STDOUT: Query = ("stdout", "boolean", "Whether the connection carries standard output.");
const STDERR: Query = ("stderr", "boolean", "Whether the connection carries standard error.");
const TTY: Query = ("tty", "boolean", "Whether the program gets a terminal.");
const PROXY_PATH: &[Query] = &[("path", "string", "The path, and query, that is asked for behind the proxy.")];

/// What may be asked of a subresource that takes the options of this kind; a path that is asked for is [`PROXIED`].
pub(super) fn of_options(kind: &str) -> &'static [Query] {
    match kind {
        "PodAttachOptions" => &[("container", "string", CONTAINER), STDERR, STDIN, STDOUT, TTY],
        "PodExecOptions" => &[
            ("command", "string", "The program and its arguments, each given by itself. No shell reads it."),
            ("container", "string", CONTAINER),
            STDERR,
            STDIN,
            STDOUT,
            TTY,
        ],
        "PodPortForwardOptions" => &[("ports", "integer", "The ports to forward, for web sockets.")],
        "PodLogOptions" => POD_LOG,
        "NodeProxyOptions" | "PodProxyOptions" | "ServiceProxyOptions" => PROXY_PATH,
        _ => &[],
    }
}

/// The parameter of options by which they stand for a whole tree of paths.
pub(super) const PROXIED: &str = "path";

const POD_LOG: &[Query] = &[
    ("container", "string", CONTAINER),
    ("follow", "boolean", "Whether lines are sent as they are written."),
    (
        "insecureSkipTLSVerifyBackend",
        "boolean",
        "Whether the certificate of the node may be one that nobody vouches for, so that the log may come from somebody else.",
    ),
    ("limitBytes", "integer", "After how many bytes the log ends, be it within a line."),
    ("previous", "boolean", "Whether the log is that of the container before its last restart."),
    ("sinceSeconds", "integer", "Only lines of so many seconds. Cannot be given together with `sinceTime`."),
    ("stream", "string", "Which of `All`, `Stdout` and `Stderr` is shown. All if it is not given."),
    ("tailLines", "integer", "Only the last so many lines."),
    ("timestamps", "boolean", "Whether each line begins with its time."),
];

/// The namespace in a path.
pub(super) fn namespace() -> Parameter {
    in_path("namespace", "the namespace of the object".into())
}

/// The name in a path of objects of a kind.
pub(super) fn name_of(kind: &str) -> Parameter {
    in_path("name", format!("name of the {kind}").into())
}

/// What of a path is asked for behind a proxy.
pub(super) fn path_behind() -> Parameter {
    in_path("path", "the path that is asked for behind the proxy".into())
}

fn in_path(name: &'static str, description: Cow<'static, str>) -> Parameter {
    Parameter { name, place: Place::Path, value: "string", description }
}

/// Queries as parameters.
pub(super) fn queries(list: &[Query]) -> impl Iterator<Item = Parameter> + '_ {
    list.iter().map(|(name, value, description)| Parameter {
        name,
        place: Place::Query,
        value,
        description: Cow::Borrowed(description),
    })
}
