//! YAML bodies to values and back, as `sigs.k8s.io/yaml` does it: YAML 1.1 with everything that JSON has no words for turned into what it has.
//!
//! Only the first document of a stream is read. Aliases are expanded, within a budget.

mod print;
mod read;
mod scalar;

use serde_json::Value;

use super::json::{self, Document, Duplicates};
#[cfg(test)]
use super::strict::StrictFault;

pub use print::to_vec;

/// Why bytes are not YAML, worded as Kubernetes words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("yaml: {0}")]
pub struct YamlError(pub(crate) String);

/// Reads the first document; without any, null. Of keys given twice the last one counts.
pub fn parse(bytes: &[u8]) -> Result<Document, YamlError> {
    // Clients send JSON where YAML is asked for, and it is read much faster. What is odd about it is for the YAML reader to say.
    if bytes.trim_ascii_start().starts_with(b"{")
        && let Ok(document) = json::parse(bytes, Duplicates::Replace)
        && document.faults.is_empty()
    {
        return Ok(document);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| YamlError("invalid leading UTF-8 octet".to_owned()))?;
    read::read(text)
}

/// Reads the first document of a text that is known to be small, such as a manifest of our own, whatever keys it repeats.
pub fn parse_value(text: &str) -> Result<Value, YamlError> {
    read::read(text).map(|document| document.value)
}

#[cfg(test)]
mod tests;
