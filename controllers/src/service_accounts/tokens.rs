//! Secrets of the type `kubernetes.io/service-account-token`: filled with a token, deleted with their service account.
//!
//! Tokens come from the `token` subresource, bound to the secret, so they end with it; where that is not served the
//! secret stays as it is.

use std::time::Duration;

use atoll_api::Object;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::SERVICE_ACCOUNTS;
use crate::cluster_api::{
    Answer, Deletion, Endpoint, Failure, Resource, Selection, Server, Shape, cluster_of, optional,
};
use crate::queue::{self, Next, Queue};
use crate::source::{Seen, Source};

const SECRETS: Resource<'static> = Resource { api: "/api/v1", plural: "secrets" };
/// The type of secrets that carry a service account's token.
pub(crate) const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const MANAGER: &str = "tokens-controller";
/// The longest life the TokenRequest API can express: these tokens are meant to last as long as their secret.
const LIFETIME_SECONDS: u64 = (1 << 32) - 1;
/// Each secret is looked at again at least this often.
const LONGEST_TIMER: Duration = Duration::from_secs(24 * 3600);

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    cluster: String,
    namespace: String,
    subject: Subject,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    /// A secret.
    Secret(String),
    /// The secrets of a service account.
    Account(String),
}

impl Key {
    /// The secrets of a service account.
    pub(super) fn account(cluster: &str, namespace: &str, name: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            subject: Subject::Account(name.to_owned()),
        }
    }

    fn secret(cluster: &str, namespace: &str, name: &str) -> Self {
        Self { cluster: cluster.to_owned(), namespace: namespace.to_owned(), subject: Subject::Secret(name.to_owned()) }
    }
}

impl queue::Key for Key {
    fn lane(&self) -> &str {
        &self.cluster
    }
}

/// Looks at every token secret that appears or changes.
pub(super) async fn follow(server: &Server, queue: &Queue<Key>, stop: &CancellationToken) {
    let source = Source::everywhere(server, SECRETS, Shape::Metadata);
    let source = source.selecting(Selection::fields(format!("type={TOKEN_TYPE}")));
    let follow = source.run(stop, |seen| {
        if let Seen::Here(secret) = seen {
            queue.add(Key::secret(cluster_of(&secret), secret.namespace(), secret.name()));
        }
    });
    follow.await;
}

/// Fills or deletes a secret, or looks at all secrets of an account.
pub(super) async fn look_after(server: &Server, root_ca: Option<&str>, key: Key) -> Answer<Next> {
    let cluster = server.cluster_as_manager(&key.cluster);
    let done = match &key.subject {
        Subject::Account(account) => of_account(&cluster, &key.namespace, account).await,
        Subject::Secret(name) => one(&cluster, root_ca, &key.namespace, name).await,
    };
    match done {
        Err(Failure::Absent | Failure::NoCluster | Failure::NotServed) => Ok(Next::Done),
        other => other,
    }
}

/// Deletes the secrets of an account that is gone.
async fn of_account(cluster: &Endpoint, namespace: &str, account: &str) -> Answer<Next> {
    let selection = Selection::fields(format!("type={TOKEN_TYPE}"));
    let secrets = cluster.list(&SECRETS.collection(namespace), Shape::Metadata, &selection).await?;
    for secret in secrets.iter().filter(|secret| secret.annotation(ACCOUNT_NAME) == Some(account)) {
        one(cluster, None, namespace, secret.name()).await?;
    }
    Ok(Next::Done)
}

async fn one(cluster: &Endpoint, root_ca: Option<&str>, namespace: &str, name: &str) -> Answer<Next> {
    let path = SECRETS.object(namespace, name);
    let secret = cluster.get(&path, Shape::Full).await?;
    if secret.text_at(&["type"]) != TOKEN_TYPE || secret.deletion_timestamp().is_some() {
        return Ok(Next::Done);
    }
    let account_name = secret.annotation(ACCOUNT_NAME).unwrap_or_default();
    let account = optional(cluster.get(&SERVICE_ACCOUNTS.object(namespace, account_name), Shape::Metadata).await)?;
    let Some(account) = account.filter(|account| belongs(&secret, account)) else {
        let options = Deletion::default().of_uid(secret.uid()).at_version(secret.resource_version());
        cluster.delete(&path, &options).await?;
        return Ok(Next::Done);
    };
    let wanted = wanted(&secret, &account, root_ca, namespace);
    let due = renewal(&secret, Timestamp::now().as_second());
    if wanted.is_none() && due.is_some() {
        return Ok(look_again(due));
    }
    let token = mint(cluster, namespace, account_name, &secret).await?;
    let mut filled = wanted.unwrap_or_else(|| secret.clone());
    filled.map_mut("data").insert("token".into(), STANDARD.encode(&token).into());
    let written = cluster.replace(&path, &Value::Object(filled.0), MANAGER).await?;
    Ok(look_again(renewal(&written, Timestamp::now().as_second())))
}

/// Whether the secret was made for this very account.
fn belongs(secret: &Object, account: &Object) -> bool {
    secret.annotation(ACCOUNT_UID).is_none_or(|uid| uid.is_empty() || uid == account.uid())
}

/// The secret with all it should carry besides the token; `None` if it carries that, and a token, already.
fn wanted(secret: &Object, account: &Object, root_ca: Option<&str>, namespace: &str) -> Option<Object> {
    let mut wanted = secret.clone();
    wanted.set_annotation(ACCOUNT_UID, account.uid());
    let data = wanted.map_mut("data");
    data.insert("namespace".into(), STANDARD.encode(namespace).into());
    if let Some(root_ca) = root_ca {
        data.insert("ca.crt".into(), STANDARD.encode(root_ca).into());
    }
    let has_token = data.get("token").and_then(Value::as_str).is_some_and(|token| !token.is_empty());
    (!has_token || wanted != *secret).then_some(wanted)
}

/// Asks for a token that is good for as long as the secret is there.
async fn mint(cluster: &Endpoint, namespace: &str, account: &str, secret: &Object) -> Answer<String> {
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": [], "expirationSeconds": LIFETIME_SECONDS,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": secret.name(), "uid": secret.uid()},
        },
    });
    let path = format!("{}/token", SERVICE_ACCOUNTS.object(namespace, account));
    let answer = cluster.create(&path, &request, MANAGER).await?;
    Ok(answer.text_at(&["status", "token"]).to_owned())
}

/// When the secret's token is to be renewed: when a fifth of its life is left. `None` if that is now.
fn renewal(secret: &Object, now: i64) -> Option<Duration> {
    let token = STANDARD.decode(secret.text_at(&["data", "token"])).ok()?;
    let token = String::from_utf8(token).ok()?;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    // A token that does not say when it ends does not end.
    let Some(end) = claims["exp"].as_i64() else { return Some(LONGEST_TIMER) };
    let life = end.saturating_sub(claims["iat"].as_i64().unwrap_or(end)).max(0);
    let left = end.saturating_sub(life / 5).saturating_sub(now);
    u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_secs)
}

fn look_again(due: Option<Duration>) -> Next {
    Next::After(due.unwrap_or(LONGEST_TIMER).min(LONGEST_TIMER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        Object::from_value(value).expect("an object")
    }

    fn secret_with(claims: &Value) -> Object {
        let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(claims.to_string()));
        object(json!({"metadata": {"name": "t"}, "data": {"token": STANDARD.encode(token)}}))
    }

    #[test]
    fn a_secret_of_an_account_of_the_same_name_but_another_uid_does_not_belong_to_it() {
        let account = object(json!({"metadata": {"name": "robot", "uid": "2"}}));
        let of = |uid: &str| object(json!({"metadata": {"annotations": {ACCOUNT_UID: uid}}}));
        assert!(!belongs(&of("1"), &account));
        assert!(belongs(&of("2"), &account));
        assert!(belongs(&object(json!({"metadata": {}})), &account));
    }

    #[test]
    fn a_secret_gets_namespace_ca_and_the_uid_of_its_account() {
        let account = object(json!({"metadata": {"name": "robot", "uid": "2"}}));
        let secret = object(json!({"metadata": {"name": "t"}}));
        let filled = wanted(&secret, &account, Some("CA"), "ns").expect("something is missing");
        assert_eq!(filled.annotation(ACCOUNT_UID), Some("2"));
        assert_eq!(filled.text_at(&["data", "namespace"]), "bnM=");
        let mut complete = filled.clone();
        complete.map_mut("data").insert("token".into(), "eA==".into());
        assert_eq!(wanted(&complete, &account, Some("CA"), "ns"), None);
    }

    #[test]
    fn tokens_are_renewed_when_a_fifth_of_their_life_is_left_and_not_as_soon_as_they_are_made() {
        let lasting_100 = secret_with(&json!({"iat": 1000, "exp": 1100}));
        assert_eq!(renewal(&lasting_100, 1000), Some(Duration::from_secs(80)));
        assert_eq!(renewal(&lasting_100, 1080), None);
        assert_eq!(renewal(&object(json!({})), 1000), None);
        assert_eq!(renewal(&secret_with(&json!({"sub": "x"})), 1000), Some(LONGEST_TIMER));
    }
}
