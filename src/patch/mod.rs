//! The four patch formats of Kubernetes as pure functions over JSON values: JSON patch, merge patch, strategic merge patch and server-side apply.
//!
//! Nothing here decodes bytes, defaults, validates or converts objects, and the time is always an argument. Values are expected
//! to come from a decoder that bounds their nesting; what these functions make out of them is bounded likewise.

pub mod apply;
pub mod json;
pub mod merge;
#[cfg(test)]
pub(crate) mod sample;
pub mod shown;
pub mod strategic;

pub use apply::Conflicts;

/// Why a patch could not be applied; each variant is one sort of answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch is malformed: 400 `BadRequest` with this message.
    #[error("{0}")]
    BadRequest(String),
    /// The patch asks for too much: 413 `RequestEntityTooLarge` with this message.
    #[error("Request entity is too large: {0}")]
    TooLarge(String),
    /// The patch does not fit the object: 422 `Invalid` with the message [`Error::UNPROCESSABLE`] and empty details.
    /// Kubernetes keeps the reason to itself, so this text is for the log.
    #[error("{0}")]
    Unprocessable(String),
    /// Others own fields that were applied with other values: 409 `Conflict` with this message and a cause for each field.
    #[error("{0}")]
    Conflict(Conflicts),
    /// A fault that Kubernetes does not classify: 500 without a reason, and with this message as it stands.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// What the client reads when the error is [`Error::Unprocessable`].
    pub const UNPROCESSABLE: &'static str = "the server rejected our request due to an error in our request";
}

/// How deep the result of a patch may be nested: as deep as what can be decoded again (`serde_json` stops at 128).
const MAX_DEPTH: usize = 127;
