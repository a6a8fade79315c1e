//! AdmissionReviews: what webhooks are asked, and what their answers mean.

use atoll_api::status::Details;
use atoll_api::{ApiError, ApiResult, Object, Reason, Status};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::WebhookClient;
use super::configuration::Hook;
use crate::admission::Shape;
use crate::admission::matching::{Subject, request};
use crate::admission::read::{flag, has, list, text};

const GROUP: &str = "admission.k8s.io";

/// Whether a webhook may change the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Mutating,
    Validating,
}

/// A question about a write, ready to be sent.
pub(super) struct Review {
    pub(super) uid: String,
    pub(super) body: Value,
    version: &'static str,
}

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// What stands in the way, if something does.
    pub(super) refusal: Option<Value>,
    /// The operations of a JSON patch, or nothing.
    pub(super) patch: Option<Vec<u8>>,
    /// The sort of patch it says it is.
    pub(super) patch_type: String,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<(String, String)>,
}

/// The most warnings, and the most characters of one, that are taken from an answer.
const MAX_WARNINGS: usize = 16;
const MAX_WARNING: usize = 256;

impl Review {
    /// Asks about a write in the shape the webhook wants it in.
    pub(super) fn new(subject: &Subject<'_>, shape: &Shape, hook: &Hook) -> Result<Self, String> {
        let version = hook.review.ok_or("webhook does not accept known AdmissionReview versions (v1, v1beta1)")?;
        let attributes = subject.attributes;
        let wanted = shape.kind.group_version();
        let shown = |object: Option<&Object>| -> ApiResult<Value> {
            let shown = object.map(|object| attributes.shapes.show(object, &wanted)).transpose()?;
            Ok(shown.map_or(Value::Null, Object::into_value))
        };
        let in_shape = |object| shown(object).map_err(|error| format!("could not create admission objects: {error}"));
        let uid = uuid::Uuid::new_v4().to_string();
        let mut request = request(subject, shape);
        request["uid"] = uid.as_str().into();
        request["object"] = in_shape(subject.object)?;
        request["oldObject"] = in_shape(subject.old)?;
        let body = json!({"kind": "AdmissionReview", "apiVersion": format!("{GROUP}/{version}"), "request": request});
        Ok(Self { uid, body, version })
    }

    /// What an answer means, or why it is none.
    pub(super) fn read(&self, answer: &Value, role: Role) -> Result<Answer, String> {
        let response = &answer["response"];
        if response.is_null() {
            return Err("webhook response was absent".to_owned());
        }
        // The older version did not check who answers to what.
        if self.version == "v1" {
            let uid = text(response, "uid");
            if uid != self.uid {
                return Err(format!("expected response.uid={:?}, got {uid:?}", self.uid));
            }
            let found = (text(answer, "apiVersion"), text(answer, "kind"));
            if found != ("admission.k8s.io/v1", "AdmissionReview") {
                let found = WebhookClient::shown_type(found.0, found.1);
                return Err(format!(
                    "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {found}"
                ));
            }
        }
        let (patch, patch_type) = self.patch(response, role)?;
        let notes = response["auditAnnotations"].as_object().into_iter().flatten();
        Ok(Answer {
            refusal: (!flag(response, "allowed")).then(|| response["status"].clone()),
            patch,
            patch_type,
            warnings: list(response, "warnings")
                .iter()
                .filter_map(Value::as_str)
                .filter_map(told)
                .take(MAX_WARNINGS)
                .collect(),
            notes: notes.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
        })
    }

    fn patch(&self, response: &Value, role: Role) -> Result<(Option<Vec<u8>>, String), String> {
        let encoded = text(response, "patch");
        let has_type = has(response, "patchType");
        if role == Role::Validating {
            return match (encoded.is_empty(), has_type && self.version == "v1") {
                (false, _) if self.version == "v1" => {
                    Err("validating webhook may not return response.patch".to_owned())
                }
                (_, true) => Err("validating webhook may not return response.patchType".to_owned()),
                _ => Ok((None, String::new())),
            };
        }
        if self.version == "v1" {
            match (encoded.is_empty(), has_type) {
                (false, false) => {
                    return Err("webhook returned response.patch but not response.patchType".to_owned());
                }
                (true, true) => return Err("webhook returned response.patchType but not response.patch".to_owned()),
                _ => {}
            }
        }
        if encoded.is_empty() {
            return Ok((None, String::new()));
        }
        let patch = STANDARD.decode(encoded).map_err(|_| "webhook returned a response.patch that is not base64")?;
        let patch_type = match text(response, "patchType") {
            "" if self.version == "v1" => return Err("webhook returned invalid response.patchType of \"\"".to_owned()),
            "" => "JSONPatch",
            given => given,
        };
        Ok((Some(patch), patch_type.to_owned()))
    }
}

/// A warning as it is handed on; one that no header can hold is not (apimachinery's `NewWarningHeader`).
fn told(warning: &str) -> Option<String> {
    let fits = !warning.chars().any(char::is_control);
    fits.then(|| warning.chars().take(MAX_WARNING).collect())
}

/// The error of a write that a webhook refuses, as the `Status` in its answer says.
pub(super) fn refusal(hook: &str, status: &Value) -> ApiError {
    let denied = format!("admission webhook {hook:?} denied the request");
    let (message, reason) = (text(status, "message"), text(status, "reason"));
    let message = match (message, reason) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let details: Option<Details> =
        status.get("details").filter(|details| !details.is_null()).and_then(|d| serde_json::from_value(d.clone()).ok());
    let status = Status {
        code: code.filter(|code| (400..=599).contains(code)).unwrap_or(400),
        reason: known_reason(reason),
        foreign_reason: reason.to_owned(),
        message,
        details,
        continue_token: String::new(),
    };
    ApiError { status: Box::new(status), source: None }
}

/// The reason of that name, if it is one of Kubernetes'.
fn known_reason(name: &str) -> Reason {
    const REASONS: [Reason; 18] = [
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::AlreadyExists,
        Reason::Conflict,
        Reason::Gone,
        Reason::Invalid,
        Reason::ServerTimeout,
        Reason::Timeout,
        Reason::TooManyRequests,
        Reason::BadRequest,
        Reason::MethodNotAllowed,
        Reason::NotAcceptable,
        Reason::RequestEntityTooLarge,
        Reason::UnsupportedMediaType,
        Reason::InternalError,
        Reason::Expired,
        Reason::ServiceUnavailable,
    ];
    REASONS.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Reason::Unknown)
}
