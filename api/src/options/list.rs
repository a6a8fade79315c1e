//! The options of list, watch and deletecollection.

use super::{integer, invalid, text};
use crate::field::{FieldError, FieldErrors, FieldPath};
use crate::query::Query;
use crate::selector::{FieldSelector, LabelSelector, SelectorError};
use crate::status::{ApiError, ApiResult};

/// How the resource version of a list or watch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// At least as new.
    NotOlderThan,
    /// Exactly as it was then.
    Exact,
}

/// The options of list, watch and deletecollection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOptions {
    /// Which labels.
    pub label_selector: LabelSelector,
    /// Which fields; whether the kind knows them is for the caller to check.
    pub field_selector: FieldSelector,
    /// Whether this is a watch.
    pub watch: bool,
    /// Whether the watcher wants bookmarks.
    pub allow_bookmarks: bool,
    /// The resource version as it was given; empty if none. See [`super::parse_resource_version`].
    pub resource_version: String,
    /// How the resource version is meant; `None` if not said.
    pub resource_version_match: Option<VersionMatch>,
    /// How long a watch or list may take, in seconds.
    pub timeout_seconds: Option<i64>,
    /// The most items of one answer; 0 for all.
    pub limit: u64,
    /// Where the previous answer ended; empty if this is the first.
    pub continue_token: String,
    /// Whether a watch begins with the objects that are there.
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the options of a list, watch or deletecollection.
    pub fn from_query(query: &Query) -> ApiResult<Self> {
        let bad = |error: SelectorError| ApiError::bad_request(error.to_string());
        let timeout_seconds = integer(query, "timeoutSeconds")?;
        let limit = integer(query, "limit")?.unwrap_or_default();
        let mut options = Self {
            label_selector: LabelSelector::parse(text(query, "labelSelector")).map_err(bad)?,
            field_selector: FieldSelector::parse(text(query, "fieldSelector")).map_err(bad)?,
            watch: query.flag("watch"),
            allow_bookmarks: query.flag("allowWatchBookmarks"),
            resource_version: text(query, "resourceVersion").to_owned(),
            resource_version_match: None,
            timeout_seconds,
            limit: u64::try_from(limit).unwrap_or_default(),
            continue_token: text(query, "continue").to_owned(),
            send_initial_events: query.optional_flag("sendInitialEvents"),
        };
        let version_match = text(query, "resourceVersionMatch");
        let errors = options.faults(version_match);
        if !errors.is_empty() {
            return Err(invalid("ListOptions", &errors));
        }
        options.resource_version_match = match version_match {
            "Exact" => Some(VersionMatch::Exact),
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            _ => None,
        };
        options.begin_old_watches_with_what_is_there();
        Ok(options)
    }

    /// A watch from nowhere begins with what is there, as it did before there was an option for it.
    fn begin_old_watches_with_what_is_there(&mut self) {
        let from_nowhere = matches!(self.resource_version.as_str(), "" | "0");
        if self.watch && from_nowhere && self.send_initial_events.is_none() && self.resource_version_match.is_none() {
            self.send_initial_events = Some(true);
            self.resource_version_match = Some(VersionMatch::NotOlderThan);
        }
    }

    fn faults(&self, version_match: &str) -> FieldErrors {
        let path = FieldPath::new("resourceVersionMatch");
        let mut errors = FieldErrors::new();
        let mut forbid = |wrong: bool, why: &str| {
            if wrong {
                errors.push(FieldError::forbidden(&path, why));
            }
        };
        let given = !version_match.is_empty();
        let continued = "resourceVersionMatch is forbidden when continue is provided";
        let supported: &[&str] = if self.watch { &["NotOlderThan"] } else { &["Exact", "NotOlderThan", ""] };
        if self.watch {
            forbid(
                self.send_initial_events.is_some() && version_match != "NotOlderThan",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
            forbid(
                given && self.send_initial_events.is_none(),
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        } else {
            let unsaid = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            forbid(given && self.resource_version.is_empty(), unsaid);
            forbid(given && !self.continue_token.is_empty(), continued);
        }
        if given && !supported.contains(&version_match) {
            errors.push(FieldError::not_supported(&path, &version_match.into(), supported));
        }
        if self.watch && given && !self.continue_token.is_empty() {
            errors.push(FieldError::forbidden(&path, continued));
        }
        if !self.watch && version_match == "Exact" && self.resource_version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(&path, why));
        }
        if !self.watch && self.send_initial_events.is_some() {
            let why = "sendInitialEvents is forbidden for list";
            errors.push(FieldError::forbidden(&FieldPath::new("sendInitialEvents"), why));
        }
        errors
    }
}
