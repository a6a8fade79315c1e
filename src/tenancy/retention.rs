//! How long what a deleted cluster held is kept, in case it is wanted back: as a snapshot, made before the cluster is emptied.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::time::format_time;
use atoll_api::{LogicalClusterName, Object};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::StoredForm;
use super::snapshot::{ContentError, Snapshot, snapshot_key, take};
use super::workspace::Stage;
use crate::storage::{CommitError, Entry, Store, Txn};

/// The annotation of a workspace that says for how long its cluster is kept after its deletion, whatever the server is told:
/// a number and `s`, `m`, `h` or `d`; `0` for not at all.
pub const RETAIN: &str = "tenancy.atoll.dev/retain";

/// The reason for a snapshot that was made because its cluster was deleted.
pub const DELETED: &str = "Deleted";

/// For how long deleted clusters are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Where the workspace says nothing; zero for not at all.
    pub usual: Duration,
    /// How snapshots are stored.
    pub stored_form: StoredForm,
}

/// Reads a span of time: a number and `s`, `m`, `h` or `d`, or `0`.
pub fn parse_span(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "" if number == 0 => 1,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

// === impl Retention ===

impl Retention {
    /// Keeps what a cluster that is about to be emptied holds, if it is to be kept.
    pub(super) async fn keep(&self, store: &Arc<Store>, workspace: &Entry) -> Result<(), ContentError> {
        let object: Object = serde_json::from_slice(&workspace.bytes()).unwrap_or_default();
        let span = object.annotation(RETAIN).and_then(parse_span).unwrap_or(self.usual);
        // What was never complete is nothing to come back to.
        if span.is_zero() || Stage::is_passing(workspace) {
            return Ok(());
        }
        let Ok(cluster) = LogicalClusterName::parse(workspace.name()) else { return Ok(()) };
        let snapshot = self.snapshot(store, &object, span).await?;
        // One that is complete was made before anything was deleted.
        if snapshot.phase() == "Pending" {
            take(store, &snapshot, &cluster, workspace.uid(), self.stored_form).await?;
            tracing::info!(%cluster, snapshot = snapshot.object.name(), "deleted logical cluster kept as a snapshot");
        }
        Ok(())
    }

    /// The snapshot of a deleted cluster; it is made if it is not there.
    async fn snapshot(&self, store: &Arc<Store>, workspace: &Object, span: Duration) -> Result<Snapshot, ContentError> {
        let short: String = workspace.uid().chars().take(8).collect();
        let name = format!("deleted-{}-{short}", workspace.name());
        if let Some(found) = Snapshot::read(store, &name) {
            return Ok(found);
        }
        let now = Timestamp::now();
        let ends =
            SignedDuration::try_from(span).ok().and_then(|span| now.checked_add(span).ok()).unwrap_or(Timestamp::MAX);
        let snapshot = json!({
            "apiVersion": "tenancy.atoll.dev/v1alpha1", "kind": "ClusterSnapshot",
            "metadata": {
                "name": name, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": format_time(now),
            },
            "spec": {"cluster": workspace.name(), "uid": workspace.uid(), "expires": format_time(ends)},
            "status": {"phase": "Pending", "reason": DELETED},
        });
        let object = Object::from_value(snapshot).unwrap_or_default();
        let value = (self.stored_form)(&object);
        let value = value.map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
        let revision = store.commit(Txn::create(snapshot_key(&name), value)).await?;
        Ok(Snapshot { revision, object })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_a_unit() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("24h", Some(86_400)),
            ("7d", Some(604_800)),
            ("7", None),
            ("d", None),
            ("", None),
            ("-1h", None),
            ("1w", None),
            ("99999999999999999999d", None),
            ("9999999999999999999d", None),
        ] {
            assert_eq!(parse_span(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
