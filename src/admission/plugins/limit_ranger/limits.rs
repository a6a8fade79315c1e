//! A LimitRange as it is applied: read once for each stored object.

use serde_json::{Map, Value};

use crate::admission::amounts::Amounts;
use crate::admission::collection::object;
use crate::admission::read::{list, text};
use crate::storage::Entry;

/// What a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Pod,
    Claim,
}

/// One limit of a range.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) kind: Kind,
    pub(super) min: Amounts,
    pub(super) max: Amounts,
    pub(super) max_ratio: Amounts,
}

/// The limits of a range, and its defaults for containers.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) limits: Vec<Limit>,
    pub(super) default_limits: Map<String, Value>,
    pub(super) default_requests: Map<String, Value>,
}

impl Kind {
    /// The kind in a message.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Container => "Container",
            Self::Pod => "Pod",
            Self::Claim => "PersistentVolumeClaim",
        }
    }
}

impl Limits {
    pub(super) fn read(entry: &Entry) -> Self {
        let range = object(entry);
        let mut read = Self::default();
        for item in range.get("spec").map(|spec| list(spec, "limits")).unwrap_or_default() {
            let kind = match text(item, "type") {
                "Container" => Kind::Container,
                "Pod" => Kind::Pod,
                "PersistentVolumeClaim" => Kind::Claim,
                _ => continue,
            };
            let of = |field: &str| Amounts::read(&item[field]);
            read.limits.push(Limit { kind, min: of("min"), max: of("max"), max_ratio: of("maxLimitRequestRatio") });
            if kind == Kind::Container {
                let of = |field: &str| item[field].as_object().cloned().unwrap_or_default();
                read.default_limits.extend(of("default"));
                read.default_requests.extend(of("defaultRequest"));
            }
        }
        read
    }
}
