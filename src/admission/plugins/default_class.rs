//! Which class of a sort is the default one: the newest of those that an annotation marks.

use atoll_api::{LogicalClusterName, Object};

use crate::admission::collection::{Collection, object};
use crate::storage::Entry;

/// A class, as far as choosing a default goes.
struct Class {
    created: String,
    is_default: bool,
}

impl Class {
    fn read(entry: &Entry, marks: &[&str]) -> Self {
        let class: Object = object(entry);
        let is_default = marks.iter().any(|mark| class.annotation(mark) == Some("true"));
        Self { created: class.meta("creationTimestamp").to_owned(), is_default }
    }
}

/// The name of a cluster's default class; of several, the newest, and of those the first by name.
pub(super) fn default_class(
    classes: &Collection,
    cluster: &LogicalClusterName,
    marks: &'static [&'static str],
) -> Option<String> {
    let mut chosen: Option<(String, String)> = None;
    for entry in classes.in_cluster(cluster) {
        let class = entry.derived(|entry| Class::read(entry, marks));
        // Entries come by name, and times are written so that they compare as texts.
        if class.is_default && chosen.as_ref().is_none_or(|(created, _)| *created < class.created) {
            chosen = Some((class.created.clone(), entry.name().to_owned()));
        }
    }
    chosen.map(|(_, name)| name)
}
