//! Webhook configurations as they are applied: read once for each stored object.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde_json::Value;

use crate::admission::collection::object;
use crate::admission::expressions::{Conditions, Params, Vocabulary};
use crate::admission::matching::Criteria;
use crate::admission::read::{has, list, text};
use crate::outbound::{self, Trust};
use crate::storage::Entry;

/// What a webhook may take if it does not say.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The versions of reviews that are spoken.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

/// The webhooks of one configuration.
pub(super) struct Configuration {
    pub(super) hooks: Vec<Hook>,
}

/// A webhook.
pub(super) struct Hook {
    /// The name of its configuration.
    pub(super) configuration: String,
    pub(super) name: String,
    /// Its name among all of the cluster.
    pub(super) id: String,
    pub(super) criteria: Criteria,
    pub(super) conditions: Conditions,
    pub(super) when_unreachable: Unreachable,
    /// Whether it can be asked about a write that will not be stored.
    pub(super) bears_dry_runs: bool,
    /// Whether it wants to be asked again after others have changed the object.
    pub(super) wants_another_look: bool,
    pub(super) timeout: Duration,
    /// The version of reviews to speak, of those it takes.
    pub(super) review: Option<&'static str>,
    pub(super) place: Place,
    /// Whose certificates are trusted.
    pub(super) trust: Result<Arc<rustls::ClientConfig>, String>,
}

/// What a failure to ask means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// The write goes on.
    Ignore,
    /// The write fails.
    Fail,
}

/// Where a webhook is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Url(Uri),
    Service {
        namespace: String,
        name: String,
        port: u16,
        path: String,
    },
    /// Nowhere that can be read; validation has let it through.
    Unreadable(String),
}

impl Configuration {
    pub(super) fn read(entry: &Entry, trust: &Trust) -> Self {
        let configuration = object(entry);
        let hooks = configuration.get("webhooks").and_then(Value::as_array);
        let hooks = hooks.into_iter().flatten().map(|hook| Hook::read(configuration.name(), hook, trust));
        Self { hooks: hooks.collect() }
    }
}

impl Hook {
    fn read(configuration: &str, hook: &Value, trust: &Trust) -> Self {
        let name = text(hook, "name");
        let seconds = hook["timeoutSeconds"].as_u64().filter(|seconds| (1..=30).contains(seconds));
        let taken = list(hook, "admissionReviewVersions").iter().filter_map(Value::as_str);
        let client = &hook["clientConfig"];
        Self {
            configuration: configuration.to_owned(),
            name: name.to_owned(),
            id: format!("{configuration}/{name}"),
            criteria: Criteria::of_webhook(hook),
            conditions: Conditions::compile(hook, &mut Vocabulary::without_variables(Params::Absent)),
            when_unreachable: match text(hook, "failurePolicy") {
                "Ignore" => Unreachable::Ignore,
                _ => Unreachable::Fail,
            },
            bears_dry_runs: matches!(text(hook, "sideEffects"), "None" | "NoneOnDryRun"),
            wants_another_look: text(hook, "reinvocationPolicy") == "IfNeeded",
            timeout: seconds.map_or(TIMEOUT, Duration::from_secs),
            review: taken.filter_map(|taken| REVIEWS.into_iter().find(|spoken| *spoken == taken)).next(),
            place: Place::read(client),
            trust: trusted(client, trust),
        }
    }
}

/// Whose certificates a `clientConfig` trusts.
pub(super) fn trusted(client: &Value, trust: &Trust) -> Result<Arc<rustls::ClientConfig>, String> {
    let verifier = match text(client, "caBundle") {
        "" => trust.of_system()?,
        bundle => {
            let pem = STANDARD.decode(bundle).map_err(|_| "the CA bundle is not base64".to_owned())?;
            trust.of_bundle(&pem)?
        }
    };
    outbound::client(verifier, None).map(Arc::new)
}

impl Place {
    pub(super) fn read(client: &Value) -> Self {
        if has(client, "service") {
            let service = &client["service"];
            let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
            let path = text(service, "path");
            return Self::Service {
                namespace: text(service, "namespace").to_owned(),
                name: text(service, "name").to_owned(),
                port,
                path: joined(path),
            };
        }
        match text(client, "url").parse::<Uri>() {
            Ok(uri) if uri.scheme_str() == Some("https") && uri.host().is_some() => Self::of_url(&uri),
            Ok(uri) => Self::Unreadable(format!("{uri} is no https URL")),
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    fn of_url(uri: &Uri) -> Self {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        match Uri::builder().scheme("https").authority(authority).path_and_query(joined(uri.path())).build() {
            Ok(uri) => Self::Url(uri),
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// The place as a URL, as it is told in messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Url(uri) => uri.to_string(),
            Self::Service { namespace, name, port, path } => format!("https://{name}.{namespace}.svc:{port}{path}"),
            Self::Unreadable(_) => String::new(),
        }
    }
}

/// A path as Kubernetes' client sends it (Go's `path.Join`): no empty segments, no dots, no slash at the end. Generated
/// configurations have such paths: controller-runtime's envtest makes `https://host//path`.
fn joined(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = kept.pop(),
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn paths_are_joined_as_go_does() {
        for (path, expected) in
            [("", "/"), ("//polite", "/polite"), ("/a/./b/", "/a/b"), ("/../a/../b", "/b"), ("/%2e%2e/a", "/%2e%2e/a")]
        {
            assert_eq!(joined(path), expected, "{path:?}");
        }
    }
}
