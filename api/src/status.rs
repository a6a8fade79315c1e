//! The answer to a request that failed: Kubernetes' `Status`, with the texts of apimachinery's `errors` package.
//!
//! An [`ApiError`] carries what the client sees and, apart, what only the log sees.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::field::{FieldError, FieldErrors};
use crate::names::{GroupKind, GroupResource};

/// The result of anything a client asked for.
pub type ApiResult<T> = Result<T, ApiError>;

/// The machine-readable `reason` of a failed request (`metav1.StatusReason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Reason {
    /// No reason is given: the field is left out.
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

impl Reason {
    /// The reason as text; empty for [`Reason::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }

    /// The HTTP status code that goes with the reason.
    pub fn code(self) -> u16 {
        match self {
            Self::Unknown | Self::InternalError => 500,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::Invalid => 422,
            Self::ServerTimeout => 500,
            Self::Timeout => 504,
            Self::TooManyRequests => 429,
            Self::BadRequest => 400,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::ServiceUnavailable => 503,
        }
    }
}

/// One entry of `status.details.causes`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cause {
    /// The machine-readable reason, such as `FieldValueInvalid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What was wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field, as a path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// `status.details`: what the request was about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind or, for most errors, the resource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// What was wrong, one entry a fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again, in seconds; 0 when not said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// The body of an answer that is not an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The reason.
    pub reason: Reason,
    /// A reason of somebody else's, told in the place of `reason`, such as an admission webhook's; empty for all other answers.
    pub foreign_reason: String,
    /// What a person reads.
    pub message: String,
    /// What the request was about, if the answer says so.
    pub details: Option<Details>,
    /// Where a list can go on though not consistently (`metadata.continue`); empty for all other answers.
    pub continue_token: String,
}

impl Status {
    /// The `Status` as a JSON value.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.foreign_reason.is_empty() {
            value["reason"] = self.foreign_reason.as_str().into();
        } else if self.reason != Reason::Unknown {
            value["reason"] = self.reason.as_str().into();
        }
        if !self.continue_token.is_empty() {
            value["metadata"]["continue"] = self.continue_token.as_str().into();
        }
        if let Some(details) = &self.details {
            value["details"] = serde_json::to_value(details).expect("details are plain strings and numbers");
        }
        value
    }
}

/// A failed request: the [`Status`] the client gets, and the internal cause, which goes to the log only.
#[derive(Debug, thiserror::Error)]
#[error("{}", status.message)]
pub struct ApiError {
    /// What the client gets.
    pub status: Box<Status>,
    /// What only the log sees.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ApiError {
    /// An error with a reason's own code and no details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self::with_details(reason, message, None)
    }

    /// An error with a reason's own code and details.
    pub fn with_details(reason: Reason, message: impl Into<String>, details: Option<Details>) -> Self {
        let status = Status {
            code: reason.code(),
            reason,
            foreign_reason: String::new(),
            message: message.into(),
            details,
            continue_token: String::new(),
        };
        Self { status: Box::new(status), source: None }
    }

    /// Keeps the internal cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.status.reason
    }

    /// The request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// The server failed; `message` is shown to the client, so it must not tell internals.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        let details =
            Details { causes: vec![Cause { message: message.clone(), ..Cause::default() }], ..Details::default() };
        Self::with_details(Reason::InternalError, format!("Internal error occurred: {message}"), Some(details))
    }

    /// Nobody by the credentials given.
    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }

    /// No such object.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        let message = format!("{resource} {name:?} not found");
        Self::with_details(Reason::NotFound, message, Some(details(resource, name)))
    }

    /// There is an object of that name already.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        let message = format!("{resource} {name:?} already exists");
        Self::with_details(Reason::AlreadyExists, message, Some(details(resource, name)))
    }

    /// The object is not as the client thought.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::with_details(Reason::Conflict, message, Some(details(resource, name)))
    }

    /// The object was changed since the client read it.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// Not allowed for a reason that is told.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} {name:?} is forbidden: {why}"),
        };
        Self::with_details(Reason::Forbidden, message, Some(details(resource, name)))
    }

    /// The object has faults in its fields.
    pub fn invalid(kind: &GroupKind, name: &str, errors: &FieldErrors) -> Self {
        let causes = errors.iter().map(cause).collect();
        let details = Details {
            name: name.to_owned(),
            group: kind.group.to_string(),
            kind: kind.kind.to_string(),
            causes,
            ..Details::default()
        };
        let message = format!("{kind} {name:?} is invalid: {}", join_errors(errors));
        Self::with_details(Reason::Invalid, message, Some(details))
    }

    /// The verb is not supported on the resource.
    pub fn method_not_supported(resource: &GroupResource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
        Self::with_details(Reason::MethodNotAllowed, message, Some(details(resource, "")))
    }

    /// The requested history is gone.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// The request was understood but took, or would take, too long; try again after `seconds`.
    pub fn timeout(message: &str, seconds: u32) -> Self {
        let details = Details { retry_after_seconds: seconds, ..Details::default() };
        Self::with_details(Reason::Timeout, format!("Timeout: {message}"), Some(details))
    }

    /// Too many requests; try again after `seconds`.
    pub fn too_many_requests(message: &str, seconds: u32) -> Self {
        let details = Details { retry_after_seconds: seconds, ..Details::default() };
        Self::with_details(Reason::TooManyRequests, message, Some(details))
    }

    /// Nothing is served at this path.
    pub fn no_such_path() -> Self {
        Self::with_details(
            Reason::NotFound,
            "the server could not find the requested resource",
            Some(Details::default()),
        )
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        *error.status
    }
}

fn details(resource: &GroupResource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: resource.group.to_string(),
        kind: resource.resource.to_string(),
        ..Details::default()
    }
}

fn cause(error: &FieldError) -> Cause {
    Cause { reason: error.kind.cause_reason().to_owned(), message: error.body(), field: error.path.to_string() }
}

/// One fault stands alone; several stand in brackets, each text once.
fn join_errors(errors: &FieldErrors) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let mut seen = HashSet::with_capacity(texts.len());
    let once: Vec<&str> = texts.iter().map(String::as_str).filter(|text| seen.insert(*text)).collect();
    match once.as_slice() {
        [] => "<nil>".to_owned(),
        [one] => (*one).to_owned(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldPath;

    /// Each text used to be compared with all before it, so that an object of many faults, which any client may send,
    /// kept the server busy for minutes.
    #[test]
    fn many_faults_are_joined_in_time_that_grows_with_their_number() {
        let kind = GroupKind { group: "".into(), kind: "ConfigMap".into() };
        let path = FieldPath::new("data");
        let fault = |n: usize| FieldError::invalid(&path.index(n % 100_000), &json!("x"), "must not be");
        let errors: FieldErrors = (0..200_000).map(fault).collect();
        let started = std::time::Instant::now();
        let error = ApiError::invalid(&kind, "a", &errors);
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
        assert_eq!(error.status.message.matches("must not be").count(), 100_000, "each text once, in order");
        assert!(error.status.message.starts_with("ConfigMap \"a\" is invalid: [data[0]: "));
        assert!(error.status.message.ends_with("data[99999]: Invalid value: \"x\": must not be]"));
    }

    #[test]
    fn invalid_lists_each_fault_once_in_the_message_and_all_as_causes() {
        let path = FieldPath::new("spec").child("replicas");
        let fault = FieldError::invalid(&path, &json!(-1), "must be greater than or equal to 0");
        let kind = GroupKind { group: "apps".into(), kind: "Deployment".into() };
        let error = ApiError::invalid(&kind, "a", &vec![fault.clone(), fault]);
        assert_eq!(
            error.status.message,
            "Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
        assert_eq!(error.status.details.expect("details").causes.len(), 2);
    }
}
