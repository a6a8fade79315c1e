//! Conversion of custom objects by the webhook their definition names (`ConversionReview`).
//!
//! Answers are kept for a while, by what was asked: a list, a watch and the read after a write ask for the same again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atoll_api::validation::{validate_annotations, validate_labels};
use atoll_api::{ApiError, ApiResult, FieldErrors, GroupVersion, LogicalClusterName, Object, Reason};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::admission::WebhookClient;
use crate::outbound::Outbound;
use crate::resources::checks::path;
use crate::resources::read::{strings, text};

/// How long a webhook may take for one review.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most objects, and about the most bytes, in one review.
const MAX_OBJECTS: usize = 500;
const MAX_BYTES: usize = 1 << 20;
/// How many bytes of answers are kept.
const KEPT: usize = 64 << 20;

type Digested = [u8; 32];

/// Who asks webhooks for conversions, and what they answered.
pub struct Conversions {
    client: WebhookClient,
    answers: Mutex<Answers>,
}

/// The last answers, the oldest first.
#[derive(Default)]
struct Answers {
    known: HashMap<Digested, Arc<Object>>,
    order: VecDeque<(Digested, usize)>,
    bytes: usize,
}

/// The webhook of a definition.
#[derive(Clone)]
pub(super) struct Webhook {
    conversions: Arc<Conversions>,
    cluster: LogicalClusterName,
    client: Value,
    review: &'static str,
    /// What of the definition decides, so that another webhook's answers are not taken for this one's.
    meaning: Digested,
}

// === impl Conversions ===

impl Default for Conversions {
    fn default() -> Self {
        Self::new(Outbound::default())
    }
}

impl Conversions {
    /// Asks webhooks where these settings permit.
    pub fn new(outbound: Outbound) -> Self {
        Self { client: WebhookClient::new(outbound), answers: Mutex::default() }
    }

    fn find(&self, digest: &Digested) -> Option<Arc<Object>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).known.get(digest).cloned()
    }

    fn keep(&self, digest: Digested, object: Object, size: usize) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.known.insert(digest, Arc::new(object)).is_none() {
            answers.order.push_back((digest, size));
            answers.bytes += size;
        }
        while answers.bytes > KEPT
            && let Some((oldest, size)) = answers.order.pop_front()
        {
            answers.known.remove(&oldest);
            answers.bytes -= size;
        }
    }
}

// === impl Webhook ===

impl Webhook {
    /// The webhook of a definition's spec.
    pub(super) fn read(
        conversions: &Arc<Conversions>,
        cluster: &LogicalClusterName,
        spec: &Value,
        meaning: Digested,
    ) -> Self {
        let webhook = &spec["conversion"]["webhook"];
        let spoken = strings(&webhook["conversionReviewVersions"]);
        let review = spoken.iter().find_map(|version| ["v1", "v1beta1"].into_iter().find(|known| known == version));
        Self {
            conversions: Arc::clone(conversions),
            cluster: cluster.clone(),
            client: webhook["clientConfig"].clone(),
            review: review.unwrap_or("v1"),
            meaning,
        }
    }

    fn digest(&self, object: &Object, to: &GroupVersion) -> Digested {
        let mut hasher = Sha256::new();
        hasher.update(self.meaning);
        hasher.update(to.to_string());
        hasher.update([0]);
        hasher.update(Value::Object(object.0.clone()).to_string());
        hasher.finalize().into()
    }

    /// The converted object, if it was asked for.
    pub(super) fn converted(&self, object: &Object, to: &GroupVersion) -> ApiResult<Object> {
        if is_bare(object) {
            return Ok(object.clone());
        }
        let found = self.conversions.find(&self.digest(object, to));
        found.map(|found| Object::clone(&found)).ok_or_else(|| {
            let why = format!("the conversion of {} to {to} is not known yet; try again", shown(object));
            ApiError::too_many_requests(&why, 1)
        })
    }

    /// Asks for what is not known yet.
    pub(super) async fn prepare(&self, objects: Vec<Object>, to: &GroupVersion) -> ApiResult<()> {
        let is_wanted = |object: &Object| object.group_version().as_ref() != Some(to) && !is_bare(object);
        let wanted = objects.into_iter().filter(is_wanted).map(|object| (self.digest(&object, to), object));
        let unknown = wanted.filter(|(digest, _)| self.conversions.find(digest).is_none());
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (digest, object) in unknown {
            let size = Value::Object(object.0.clone()).to_string().len();
            if batch.len() >= MAX_OBJECTS || (bytes + size > MAX_BYTES && !batch.is_empty()) {
                self.ask(std::mem::take(&mut batch), to).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push((digest, object));
        }
        if batch.is_empty() { Ok(()) } else { self.ask(batch, to).await }
    }

    async fn ask(&self, batch: Vec<(Digested, Object)>, to: &GroupVersion) -> ApiResult<()> {
        let Some(first) = batch.first().map(|(_, object)| shown(object)) else { return Ok(()) };
        let fail = |why: String| ApiError::new(Reason::Unknown, format!("conversion webhook for {first} {why}"));
        let uid = uuid::Uuid::new_v4().to_string();
        let kind = format!("apiextensions.k8s.io/{}", self.review);
        let objects: Vec<&Map<String, Value>> = batch.iter().map(|(_, object)| &object.0).collect();
        let review = json!({
            "kind": "ConversionReview", "apiVersion": kind,
            "request": {"uid": uid, "desiredAPIVersion": to.to_string(), "objects": objects},
        });
        let answer = self.conversions.client.post(&self.cluster, &self.client, &review, TIMEOUT).await;
        let converted = answer.and_then(|answer| objects_of(answer, &kind, &uid));
        let converted = converted.map_err(|why| fail(format!("failed: {why}")))?;
        if converted.len() != batch.len() {
            return Err(fail(format!("returned {} objects, expected {}", converted.len(), batch.len())));
        }
        // Whatever it is asked for, Kubernetes asks for one object at a time, and says so.
        for ((digest, original), converted) in batch.into_iter().zip(converted) {
            let size = converted.to_string().len();
            let object = accept(&original, converted, to).map_err(|why| fail(format!("returned invalid {why}")))?;
            self.conversions.keep(digest, object, size);
        }
        Ok(())
    }
}

/// Group, version and kind as messages name them.
fn shown(object: &Object) -> String {
    format!("{}, Kind={}", object.api_version(), object.kind())
}

/// An object that says nothing but its type is the same in every version (conversion/webhook_converter.go).
fn is_bare(object: &Object) -> bool {
    object.0.keys().all(|field| field == "apiVersion" || field == "kind")
}

/// The objects in a webhook's answer.
fn objects_of(answer: Value, kind: &str, uid: &str) -> Result<Vec<Value>, String> {
    let (said_kind, said_version) = (text(&answer["kind"]), text(&answer["apiVersion"]));
    if said_kind != "ConversionReview" || said_version != kind {
        let said = WebhookClient::shown_type(said_version, said_kind);
        return Err(format!("expected webhook response of {kind}, Kind=ConversionReview, got {said}"));
    }
    let response = &answer["response"];
    if !response.is_object() {
        return Err("no response provided".to_owned());
    }
    if text(&response["uid"]) != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", text(&response["uid"])));
    }
    match (text(&response["result"]["status"]), text(&response["result"]["message"])) {
        ("Success", _) => Ok(response["convertedObjects"].as_array().cloned().unwrap_or_default()),
        (status, "") => Err(format!("response.result.status was '{status}', not 'Success'")),
        (_, message) => Err(message.to_owned()),
    }
}

/// The object a webhook made of another, with all of the metadata that webhooks may not change; or what of it is invalid.
fn accept(original: &Object, converted: Value, to: &GroupVersion) -> Result<Object, String> {
    let converted = Object::from_value(converted).map_err(|_| "object at index 0: it is no object".to_owned())?;
    if converted.group_version().as_ref() != Some(to) {
        return Err(format!(
            "object at index 0: invalid groupVersion (expected {to}, received {})",
            converted.api_version()
        ));
    }
    if converted.kind() != original.kind() {
        let (wanted, found) = (original.kind(), converted.kind());
        return Err(format!("object at index 0: invalid kind (expected {wanted}, received {found})"));
    }
    for (what, was, is) in [
        ("name", original.name(), converted.name()),
        ("namespace", original.namespace(), converted.namespace()),
        ("UID", original.uid(), converted.uid()),
    ] {
        if was != is {
            return Err(format!("object: must have the same {what}: {was} != {is}"));
        }
    }
    with_own_metadata(original, converted).map_err(|why| format!("metadata: {why}"))
}

fn with_own_metadata(original: &Object, mut converted: Object) -> Result<Object, String> {
    let said = match converted.0.get("metadata") {
        Some(Value::Object(said)) => said.clone(),
        Some(_) => return Err("invalid metadata in converted object".to_owned()),
        None => return Err("missing metadata in converted object".to_owned()),
    };
    let mut metadata = original.metadata().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        let entries = match said.get(field) {
            None | Some(Value::Null) => {
                metadata.remove(field);
                continue;
            }
            Some(Value::Object(entries)) if entries.values().all(Value::is_string) => entries,
            Some(_) => return Err(format!("invalid metadata.{field} in converted object")),
        };
        if metadata.get(field).and_then(Value::as_object) != Some(entries) {
            let (mut errors, at) = (FieldErrors::new(), path("metadata").child(field));
            match field {
                "labels" => validate_labels(entries, &at, &mut errors),
                _ => validate_annotations(entries, &at, &mut errors),
            }
            if let Some(error) = errors.first() {
                return Err(error.to_string());
            }
        }
        metadata.insert(field.to_owned(), entries.clone().into());
    }
    converted.0.insert("metadata".into(), metadata.into());
    Ok(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        Object::from_value(value).expect("an object")
    }

    #[track_caller]
    fn check(converted: Value, expected: Result<Value, &str>) {
        let original = object(json!({
            "apiVersion": "g.io/v1", "kind": "A",
            "metadata": {"name": "n", "uid": "1", "generation": 2, "labels": {"a": "b"}},
        }));
        let accepted = accept(&original, converted, &GroupVersion::new("g.io", "v2"));
        assert_eq!(accepted.map(Object::into_value), expected.map_err(str::to_owned));
    }

    #[test]
    fn a_webhook_changes_fields_labels_and_annotations_and_nothing_else_of_the_metadata() {
        check(
            json!({"apiVersion": "g.io/v2", "kind": "A", "x": 1,
                "metadata": {"name": "n", "uid": "1", "generation": 9, "annotations": {"c": "d"}}}),
            Ok(json!({"apiVersion": "g.io/v2", "kind": "A", "x": 1,
                "metadata": {"name": "n", "uid": "1", "generation": 2, "annotations": {"c": "d"}}})),
        );
    }

    #[test]
    fn an_answer_that_is_another_object_is_refused() {
        let metadata = json!({"name": "n", "uid": "1"});
        check(
            json!({"apiVersion": "g.io/v3", "kind": "A", "metadata": metadata}),
            Err("object at index 0: invalid groupVersion (expected g.io/v2, received g.io/v3)"),
        );
        check(
            json!({"apiVersion": "g.io/v2", "kind": "B", "metadata": metadata}),
            Err("object at index 0: invalid kind (expected A, received B)"),
        );
        check(
            json!({"apiVersion": "g.io/v2", "kind": "A", "metadata": {"name": "m", "uid": "1"}}),
            Err("object: must have the same name: n != m"),
        );
    }

    #[test]
    fn an_answer_must_be_to_the_question_and_say_success() {
        let review = |response: Value| json!({"kind": "ConversionReview", "apiVersion": "v", "response": response});
        for (response, expected) in [
            (json!({"uid": "1", "result": {"status": "Success"}, "convertedObjects": [{}]}), Ok(1)),
            (json!({"uid": "2", "result": {"status": "Success"}}), Err("expected response.uid=\"1\", got \"2\"")),
            (json!({"uid": "1", "result": {"status": "Failed", "message": "no"}}), Err("no")),
            (json!({"uid": "1", "result": {}}), Err("response.result.status was '', not 'Success'")),
            (Value::Null, Err("no response provided")),
        ] {
            let objects = objects_of(review(response), "v", "1").map(|objects| objects.len());
            assert_eq!(objects.as_ref().map_err(String::as_str), expected.as_ref().map_err(|why| *why));
        }
    }
}
