//! What a workspace says of its cluster's making: where the content comes from, how far it is, and what was wrong.

use atoll_api::Object;
use atoll_api::time::format_time;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::storage::{CLOSED_LABEL, Entry};

/// The label of the workspace of a cluster that is about to go on under another name.
pub const MOVING_LABEL: &str = "tenancy.atoll.dev/moving";

/// The condition that tells whether a cluster has the content its workspace asked for.
const CONTENT: &str = "ContentCopied";

/// What may be done with a cluster, as its workspace's phase tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Everything.
    Ready,
    /// It is being copied from elsewhere: nobody knows it yet.
    Making,
    /// It is put back to a snapshot: it is not served meanwhile.
    Restoring,
    /// It is about to go on under another name: it can be read only.
    Moving,
}

/// Where the content of a cluster comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Another cluster, as it is now.
    Cluster {
        /// Its name.
        name: String,
        /// Its uid: a later cluster of the same name is another one.
        uid: String,
        /// Whether it goes on under the new name, instead of staying beside it.
        after: After,
    },
    /// A snapshot.
    Snapshot {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
}

/// Whether the objects of a cluster are those of its source, or others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The same: the cluster goes on with what it held before.
    Kept,
    /// Others.
    New,
}

/// What becomes of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It stays.
    Stays,
    /// It goes.
    Goes,
}

// === impl Stage ===

impl Stage {
    /// The stage of a workspace that is not being deleted.
    pub fn of(workspace: &Object) -> Self {
        match workspace.text_at(&["status", "phase"]) {
            "Initializing" => Self::Making,
            "Restoring" => Self::Restoring,
            "Moving" => Self::Moving,
            _ => Self::Ready,
        }
    }

    /// The phase by which a workspace says so.
    pub fn phase(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Making => "Initializing",
            Self::Restoring => "Restoring",
            Self::Moving => "Moving",
        }
    }

    /// Says so in a workspace; what is not served is closed to those who watch, too.
    pub fn set(self, workspace: &mut Object) {
        workspace.map_mut("status").insert("phase".into(), self.phase().into());
        for label in [CLOSED_LABEL, MOVING_LABEL] {
            remove_label(workspace, label);
        }
        match self {
            Self::Making | Self::Restoring => workspace.set_label(CLOSED_LABEL, "true"),
            Self::Moving => workspace.set_label(MOVING_LABEL, "true"),
            Self::Ready => {}
        }
    }

    /// Whether a stored workspace is in a stage that is to end; told without reading all of it.
    pub(super) fn is_passing(workspace: &Entry) -> bool {
        let labels = workspace.labels();
        labels.get(CLOSED_LABEL).is_some() || labels.get(MOVING_LABEL).is_some()
    }
}

fn remove_label(workspace: &mut Object, label: &str) {
    let Some(labels) = workspace.metadata_mut().get_mut("labels").and_then(Value::as_object_mut) else { return };
    labels.remove(label);
    if labels.is_empty() {
        workspace.metadata_mut().remove("labels");
    }
}

// === impl Source ===

impl Source {
    /// The source that a workspace names, if it names one that can be used.
    pub(super) fn of(workspace: &Object) -> Option<Self> {
        // What is put back says so beside what it was once made of.
        let place = if Stage::of(workspace) == Stage::Restoring { ["status", "restore"] } else { ["spec", "source"] };
        let text = |field| workspace.text_at(&[place[0], place[1], field]);
        let uid = text("uid").to_owned();
        match (text("cluster"), text("snapshot")) {
            ("", "") => None,
            ("", name) => Some(Self::Snapshot { name: name.to_owned(), uid }),
            (name, _) => {
                let moves = workspace.at(&["spec", "source", "move"]) == Some(&Value::Bool(true));
                let after = if moves { After::Goes } else { After::Stays };
                Some(Self::Cluster { name: name.to_owned(), uid, after })
            }
        }
    }
}

impl Identity {
    /// Whether a cluster goes on with what its source held: only the server says so, in the status.
    pub(super) fn of(workspace: &Object) -> Self {
        let goes_on = workspace.at(&["status", "restore"]).is_some()
            || workspace.at(&["spec", "source", "move"]) == Some(&Value::Bool(true));
        if goes_on { Self::Kept } else { Self::New }
    }
}

/// Says in a workspace that its cluster is to be put back to a snapshot of itself.
pub fn put_back(workspace: &mut Object, snapshot: &Object) {
    let restore = json!({"snapshot": snapshot.name(), "uid": snapshot.uid()});
    workspace.map_mut("status").insert("restore".into(), restore);
    Stage::Restoring.set(workspace);
    forget_failure(workspace);
}

/// The workspace of a cluster that was deleted, as it was and about to be put back to a snapshot of itself.
pub fn revived(workspace: &Object, snapshot: &Object) -> Object {
    let mut workspace = workspace.clone();
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
        workspace.metadata_mut().remove(field);
    }
    put_back(&mut workspace, snapshot);
    workspace
}

fn forget_failure(workspace: &mut Object) {
    if let Some(conditions) = workspace.map_mut("status").get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| condition["type"] != CONTENT);
    }
}

/// Says in a workspace that its cluster has what it asked for: how much, and as of which revision.
pub(super) fn note_content(workspace: &mut Object, revision: u64, (objects, bytes): (u64, u64), now: Timestamp) {
    let content = json!({"revision": revision.to_string(), "objects": objects, "bytes": bytes});
    let status = workspace.map_mut("status");
    status.insert("content".into(), content);
    status.remove("restore");
    note(workspace, "True", "Copied", "", now);
}

/// Says in a workspace why its cluster cannot be made. Gives whether that is news.
pub(super) fn note_failure(workspace: &mut Object, reason: &str, message: &str, now: Timestamp) -> bool {
    note(workspace, "False", reason, message, now)
}

fn note(workspace: &mut Object, status: &str, reason: &str, message: &str, now: Timestamp) -> bool {
    let conditions = workspace.map_mut("status").entry("conditions").or_insert_with(|| Value::Array(Vec::new()));
    if !conditions.is_array() {
        *conditions = Value::Array(Vec::new());
    }
    let list = conditions.as_array_mut().expect("it was made one");
    let same = |condition: &Value| {
        condition["status"] == status && condition["reason"] == reason && condition["message"] == message
    };
    let place = list.iter().position(|condition| condition["type"] == CONTENT);
    if place.is_some_and(|place| same(&list[place])) {
        return false;
    }
    let condition = Value::Object(Map::from_iter([
        ("lastTransitionTime".to_owned(), format_time(now).into()),
        ("message".to_owned(), message.into()),
        ("reason".to_owned(), reason.into()),
        ("status".to_owned(), status.into()),
        ("type".to_owned(), CONTENT.into()),
    ]));
    match place {
        Some(place) => list[place] = condition,
        None => list.push(condition),
    }
    true
}
