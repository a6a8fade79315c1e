//! Unknown and duplicate fields of a body, and how clients are told of them.
//!
//! Whether they are faults is decided by the request's `fieldValidation`.

use std::fmt;

use atoll_api::field::go_quote;

/// The most faults of one body that clients are told of, as in Kubernetes.
pub(crate) const MAX_FAULTS: usize = 100;
/// The longest path that is shown, in bytes: a body of long keys must not make an answer many times its size.
pub(crate) const MAX_PATH: usize = 1024;

/// A field that is not as it should be, though the body can be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StrictFault {
    /// A field that the kind does not have, by its path.
    Unknown(String),
    /// A field that is given more than once, by its path.
    Duplicate(String),
    /// A key that is given more than once in a YAML mapping: the line, and the key as Go prints it.
    DuplicateYamlKey(usize, String),
}

impl StrictFault {
    /// The path of the field, if the fault has one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Unknown(path) | Self::Duplicate(path) => Some(path),
            Self::DuplicateYamlKey(..) => None,
        }
    }
}

impl fmt::Display for StrictFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "unknown field {}", go_quote(path)),
            Self::Duplicate(path) => write!(f, "duplicate field {}", go_quote(path)),
            Self::DuplicateYamlKey(line, key) => write!(f, "line {line}: key {key} already set in map"),
        }
    }
}

/// The text of the error that refuses a body: `strict decoding error: unknown field "a", duplicate field "b"`.
pub fn strict_error(faults: &[StrictFault]) -> String {
    let (yaml, json): (Vec<_>, Vec<_>) = faults.iter().partition(|fault| fault.path().is_none());
    let mut texts: Vec<String> = Vec::with_capacity(json.len() + 1);
    if !yaml.is_empty() {
        texts.push(yaml_errors(yaml.into_iter()));
    }
    texts.extend(json.into_iter().map(ToString::to_string));
    format!("strict decoding error: {}", texts.join(", "))
}

/// The warnings for a body that is accepted all the same, one for each fault.
pub fn strict_warnings(faults: &[StrictFault]) -> Vec<String> {
    let (yaml, json): (Vec<_>, Vec<_>) = faults.iter().partition(|fault| fault.path().is_none());
    yaml.into_iter().chain(json).map(ToString::to_string).collect()
}

/// The text in which the YAML library tells of duplicate keys.
pub(crate) fn yaml_errors<'a>(faults: impl Iterator<Item = &'a StrictFault>) -> String {
    let lines: Vec<String> = faults.map(|fault| format!("\n  {fault}")).collect();
    format!("yaml: unmarshal errors:{}", lines.concat())
}

/// How many faults of one body are looked at, the same ones again included, so that looking is cheap.
const MAX_LOOKED_AT: usize = 1000;

/// Faults as they are found, each once, and no more than are told.
#[derive(Default)]
pub(crate) struct Faults {
    found: Vec<StrictFault>,
    looked_at: usize,
}

impl Faults {
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MAX_FAULTS || self.looked_at >= MAX_LOOKED_AT
    }

    pub(crate) fn push(&mut self, fault: StrictFault) {
        if self.is_full() {
            return;
        }
        self.looked_at += 1;
        if !self.found.contains(&fault) {
            self.found.push(fault);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<StrictFault> {
        self.found
    }
}

/// A path cut to what is shown.
pub(crate) fn shown_path(path: &str) -> String {
    path[..path.floor_char_boundary(MAX_PATH)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_in_kubernetes_words() {
        let faults = [
            StrictFault::Unknown("metadata.labelz".into()),
            StrictFault::Duplicate("data".into()),
            StrictFault::DuplicateYamlKey(5, "\"data\"".into()),
            StrictFault::DuplicateYamlKey(6, "1".into()),
        ];
        let yaml =
            "yaml: unmarshal errors:\n  line 5: key \"data\" already set in map\n  line 6: key 1 already set in map";
        assert_eq!(
            strict_error(&faults),
            format!("strict decoding error: {yaml}, unknown field \"metadata.labelz\", duplicate field \"data\"")
        );
        let warnings = strict_warnings(&faults);
        assert_eq!(warnings[0], "line 5: key \"data\" already set in map");
        assert_eq!(warnings[3], "duplicate field \"data\"");
    }
}
