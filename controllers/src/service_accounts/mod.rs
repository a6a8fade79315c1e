//! Gives every namespace its `default` service account and the server's CA, and looks after token secrets.
//!
//! Keeps no list of namespaces: what was deleted by others is told by events, and looked for again after a gap.

mod tokens;

pub(crate) use tokens::TOKEN_TYPE;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Resource, Selection, Server, Shape, cluster_of};
use crate::ensure::Wanted;
use crate::frame::ObjectKey;
use crate::namespaces::NAMESPACES;
use crate::queue::{Next, Queue};
use crate::source::{Seen, Source};

/// Service accounts, as URLs name them.
pub(crate) const SERVICE_ACCOUNTS: Resource<'static> = Resource { api: "/api/v1", plural: "serviceaccounts" };
const CONFIG_MAPS: Resource<'static> = Resource { api: "/api/v1", plural: "configmaps" };

/// The service account that every namespace has.
pub(crate) const DEFAULT_ACCOUNT: &str = "default";
/// The ConfigMap that carries the server's CA.
pub(crate) const ROOT_CA: &str = "kube-root-ca.crt";

const MANAGER: &str = "service-account-controller";
/// Enough to share the store's flushes when many clusters come at once.
const AT_A_TIME: usize = 32;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Kubernetes' own words, which tools look for.
const ROOT_CA_DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/// Runs the controllers until told to stop: `server` is for the one of accounts, `publisher` for that of certificates;
/// tokens are the manager's.
pub(crate) async fn run(server: Server, publisher: Server, root_ca: Option<String>, stop: CancellationToken) {
    let queue = Queue::new(LONGEST_PAUSE);
    let token_queue = Queue::new(LONGEST_PAUSE);
    let again = Notify::new();
    let namespaces = follow_namespaces(&server, &queue, &again, &stop);
    let accounts = follow_accounts(&server, &queue, &token_queue, &again, &stop);
    let certificates = async {
        if root_ca.is_some() {
            follow_certificates(&server, &queue, &again, root_ca.as_deref().unwrap_or_default(), &stop).await;
        }
    };
    let secrets = tokens::follow(&server, &token_queue, &stop);
    let work = queue.work(AT_A_TIME, &stop, |key| furnish(&server, &publisher, root_ca.as_deref(), key));
    let token_work = token_queue.work(AT_A_TIME, &stop, |key| tokens::look_after(&server, root_ca.as_deref(), key));
    futures::join!(namespaces, accounts, certificates, secrets, work, token_work);
}

/// Looks at every namespace that appears, and at all of them `again` when told to.
async fn follow_namespaces(server: &Server, queue: &Queue<ObjectKey>, again: &Notify, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let source = source(server, NAMESPACES, Selection::all());
        let follow = source.run(stop, |seen| {
            if let Seen::Here(namespace) = seen
                && namespace.deletion_timestamp().is_none()
            {
                queue.add(ObjectKey::of(&namespace));
            }
        });
        tokio::select! {
            () = follow => {}
            () = again.notified() => {}
        }
    }
}

async fn follow_accounts(
    server: &Server,
    queue: &Queue<ObjectKey>,
    tokens: &Queue<tokens::Key>,
    again: &Notify,
    stop: &CancellationToken,
) {
    let mut listed = false;
    let source = source(server, SERVICE_ACCOUNTS, Selection::all());
    let follow = source.run(stop, |seen| match seen {
        Seen::Gone(account) => {
            tokens.add(tokens::Key::account(cluster_of(&account), account.namespace(), account.name()));
            if account.name() == DEFAULT_ACCOUNT {
                queue.add(ObjectKey::namespace_of(&account));
            }
        }
        Seen::Listed if listed => again.notify_one(),
        Seen::Listed => listed = true,
        Seen::Here(_) | Seen::Listing => {}
    });
    follow.await;
}

async fn follow_certificates(
    server: &Server,
    queue: &Queue<ObjectKey>,
    again: &Notify,
    root_ca: &str,
    stop: &CancellationToken,
) {
    let mut listed = false;
    let mut source = source(server, CONFIG_MAPS, Selection::fields(format!("metadata.name={ROOT_CA}")));
    source.shape = Shape::Full;
    let follow = source.run(stop, |seen| match seen {
        Seen::Gone(map) => {
            queue.add(ObjectKey::namespace_of(&map));
        }
        // Another publisher, which was given another CA or none, would put its own back at once.
        Seen::Here(map) if map.text_at(&["data", "ca.crt"]) != root_ca => {
            queue.add_undone(ObjectKey::namespace_of(&map));
        }
        Seen::Listed if listed => again.notify_one(),
        Seen::Listed => listed = true,
        Seen::Here(_) | Seen::Listing => {}
    });
    follow.await;
}

fn source(server: &Server, resource: Resource<'_>, selection: Selection) -> Source {
    Source::everywhere(server, resource, Shape::Metadata).selecting(selection)
}

/// Gives a namespace what every namespace has.
async fn furnish(accounts: &Server, publisher: &Server, root_ca: Option<&str>, key: ObjectKey) -> Answer<Next> {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": DEFAULT_ACCOUNT, "namespace": key.name},
    });
    let account = ensure(accounts, SERVICE_ACCOUNTS, &key, account, &[]);
    let certificate = async {
        let Some(root_ca) = root_ca else { return Ok(()) };
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": ROOT_CA, "namespace": key.name,
                         "annotations": {"kubernetes.io/description": ROOT_CA_DESCRIPTION}},
            "data": {"ca.crt": root_ca},
        });
        ensure(publisher, CONFIG_MAPS, &key, map, &["data"]).await
    };
    let (account, certificate) = futures::join!(account, certificate);
    account.and(certificate).map(|()| Next::Done)
}

async fn ensure(server: &Server, resource: Resource<'_>, key: &ObjectKey, object: Value, kept: &[&str]) -> Answer<()> {
    let (cluster, namespace) = (key.cluster.as_str(), key.name.as_str());
    Wanted { server, manager: MANAGER, cluster, namespace, resource, object, kept }.ensure().await
}
