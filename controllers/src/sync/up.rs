//! What comes back up: the status, as it is, in terms of the generations that are counted here.

use atoll_api::Object;
use serde_json::Value;

use super::kinds::StatusFlow;
use super::marks::Marks;

/// The status the upstream object should have, or nothing if the downstream one says nothing certain yet.
///
/// `sent` is the downstream generation that holds what was sent last. A status that speaks of another one is that of an
/// earlier, or of somebody else's, content; it is waited for.
pub(super) fn status(flow: StatusFlow, live: &Object, sent: i64) -> Option<Value> {
    let found = live.get("status")?.as_object()?;
    match flow {
        StatusFlow::None => None,
        StatusFlow::Verbatim => Some(Value::Object(found.clone())),
        StatusFlow::Observed => {
            let here = Marks::read(live)?.generation;
            let observed = found.get("observedGeneration")?.as_i64()?;
            if observed != live.generation() || observed != sent {
                return None;
            }
            let mut status = found.clone();
            status.insert("observedGeneration".into(), here.into());
            for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
                translate(condition, observed, here);
            }
            Some(Value::Object(status))
        }
    }
}

/// A condition may name a generation of its own; one that is not the current one has no counterpart here.
fn translate(condition: &mut Value, observed: i64, here: i64) {
    let Some(condition) = condition.as_object_mut() else { return };
    match condition.get("observedGeneration").and_then(Value::as_i64) {
        Some(generation) if generation == observed => {
            condition.insert("observedGeneration".into(), here.into());
        }
        Some(_) => {
            condition.remove("observedGeneration");
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A live deployment of this generation, made from generation 7 upstream.
    fn live(generation: i64, status: Value) -> Object {
        Object::from_value(json!({
            "metadata": {
                "name": "web", "generation": generation, "labels": {"workload.atoll.dev/target-uid": "t"},
                "annotations": {"workload.atoll.dev/cluster": "a", "workload.atoll.dev/name": "web",
                                "workload.atoll.dev/uid": "1", "workload.atoll.dev/generation": "7"},
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_status_of_what_was_sent_comes_up_with_our_generation() {
        let conditions =
            json!([{"type": "Available", "observedGeneration": 3}, {"type": "Old", "observedGeneration": 2}]);
        let found = live(3, json!({"observedGeneration": 3, "readyReplicas": 2, "conditions": conditions}));
        let expected = json!({
            "observedGeneration": 7, "readyReplicas": 2,
            "conditions": [{"type": "Available", "observedGeneration": 7}, {"type": "Old"}],
        });
        assert_eq!(status(StatusFlow::Observed, &found, 3), Some(expected));
    }

    #[test]
    fn a_status_of_earlier_or_foreign_content_is_waited_for() {
        let behind = live(4, json!({"observedGeneration": 3, "readyReplicas": 2}));
        assert_eq!(status(StatusFlow::Observed, &behind, 4), None);
        let changed_by_others = live(5, json!({"observedGeneration": 5, "readyReplicas": 9}));
        assert_eq!(status(StatusFlow::Observed, &changed_by_others, 4), None);
        let silent = live(4, json!({"replicas": 0}));
        assert_eq!(status(StatusFlow::Observed, &silent, 4), None);
    }

    #[test]
    fn statuses_without_generations_come_up_verbatim() {
        let found = live(0, json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}));
        let expected = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
        assert_eq!(status(StatusFlow::Verbatim, &found, 0), Some(expected));
        assert_eq!(status(StatusFlow::None, &found, 0), None);
    }
}
