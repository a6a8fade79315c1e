//! `atoll cluster snapshot`, `restore` and `undelete`: what a logical cluster held, kept and put back.

use std::time::{Duration, Instant};

use atoll_api::time::format_time;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::client::Remote;
use super::cluster::WORKSPACES;
use super::cluster_copies::{Waiting, ready};
use super::{Connection, Failure, progress};
use crate::tenancy::{DELETED, parse_span};

/// Where snapshots are.
pub(super) const SNAPSHOTS: &str = "/apis/tenancy.atoll.dev/v1alpha1/clustersnapshots";
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a snapshot may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Keeps what a logical cluster holds now. `kubectl get clustersnapshots` lists what is kept.
#[derive(Debug, Args)]
pub(super) struct Snapshot {
    /// The logical cluster.
    cluster: String,
    /// The snapshot's name [default: the cluster's and the time]
    #[arg(long)]
    name: Option<String>,
    /// Delete it after so long: a number and s, m, h or d [default: it stays until it is deleted]
    #[arg(long, value_name = "TIME", value_parser = span)]
    keep: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

/// Puts a logical cluster back to a snapshot of itself. What was written since is lost; nobody is served meanwhile.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The logical cluster.
    cluster: String,
    /// The snapshot.
    #[arg(long, value_name = "NAME")]
    from: String,
    /// Make a new logical cluster of this name instead, beside the one that is there.
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    connection: Connection,
}

/// Brings a deleted logical cluster back as it was, under its name and with its identity: credentials made for it are good
/// again. The server keeps deleted clusters for as long as `atoll serve --retain-deleted` says.
#[derive(Debug, Args)]
pub(super) struct Undelete {
    /// The name the logical cluster had.
    cluster: String,
    /// Which one, if several of that name were deleted: its snapshot [default: the last]
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    connection: Connection,
}

fn span(text: &str) -> Result<Duration, String> {
    parse_span(text).ok_or_else(|| "give a number and s, m, h or d, such as 7d".to_owned())
}

impl Snapshot {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let began = Instant::now();
        let name = self.name.unwrap_or_else(|| format!("{}-{}", self.cluster, Timestamp::now().as_second()));
        let mut spec = json!({"cluster": self.cluster});
        if let Some(keep) = self.keep.and_then(|keep| SignedDuration::try_from(keep).ok()) {
            let end = Timestamp::now().checked_add(keep);
            let end = end.map_err(|error| Failure::because("--keep reaches beyond all times", error))?;
            spec["expires"] = format_time(end).into();
        }
        let snapshot = take(&remote, &self.cluster, &name, spec).await?;
        println!("{name} is complete: {}, {:.2} s", content(&snapshot), began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Asks for a snapshot and waits until it is complete.
pub(super) async fn take(remote: &Remote, cluster: &str, name: &str, spec: Value) -> Result<Value, Failure> {
    let doing = format!("taking a snapshot of the logical cluster {cluster:?}");
    let snapshot = json!({
        "apiVersion": "tenancy.atoll.dev/v1alpha1", "kind": "ClusterSnapshot", "metadata": {"name": name}, "spec": spec,
    });
    remote.call("POST", SNAPSHOTS, Some(&snapshot)).await.map_err(|error| remote.explain(&doing, error))?;
    let spinner = progress::spinner(doing.clone());
    let until = Instant::now() + PATIENCE;
    loop {
        let path = format!("{SNAPSHOTS}/{name}");
        let snapshot = remote.call("GET", &path, None).await.map_err(|error| remote.explain(&doing, error))?;
        match snapshot["status"]["phase"].as_str() {
            Some("Ready") => {
                spinner.finish_and_clear();
                return Ok(snapshot);
            }
            Some("Failed") => {
                let why = snapshot["status"]["message"].as_str().unwrap_or_default();
                return Err(Failure::new(format!(
                    "{doing}: {why}; remove it with `kubectl delete clustersnapshot {name}`"
                )));
            }
            _ if Instant::now() > until => {
                return Err(Failure::new(format!(
                    "{doing}: it is not complete after five minutes; see the server's log"
                )));
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// How much a snapshot holds.
pub(super) fn content(snapshot: &Value) -> String {
    let number = |field: &str| snapshot["status"][field].as_u64().unwrap_or_default();
    let (bytes, size) = (number("bytes") as f64 / 1e6, number("size") as f64 / 1e6);
    format!("{} objects, {bytes:.1} MB ({size:.1} MB kept)", number("objects"))
}

impl Restore {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        if let Some(to) = &self.to {
            let spec = json!({"source": {"snapshot": self.from}});
            let doing = format!("making the logical cluster {to:?} of the snapshot {:?}", self.from);
            return super::cluster_copies::make(&remote, &doing, to, spec, &self.waiting).await;
        }
        let doing = format!("putting the logical cluster {:?} back to {:?}", self.cluster, self.from);
        put_back(&remote, &doing, &self.cluster, &self.from, &self.waiting).await
    }
}

impl Undelete {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let doing = format!("bringing the logical cluster {:?} back", self.cluster);
        let snapshot = match self.from {
            Some(name) => name,
            None => last_deleted(&remote, &doing, &self.cluster).await?,
        };
        put_back(&remote, &doing, &self.cluster, &snapshot, &self.waiting).await
    }
}

/// The snapshot of the cluster of that name that was deleted last.
async fn last_deleted(remote: &Remote, doing: &str, cluster: &str) -> Result<String, Failure> {
    let list = remote.call("GET", SNAPSHOTS, None).await.map_err(|error| remote.explain(doing, error))?;
    let of_cluster = |snapshot: &&Value| {
        snapshot["spec"]["cluster"] == cluster
            && snapshot["status"]["reason"] == DELETED
            && snapshot["status"]["phase"] == "Ready"
    };
    let all = list["items"].as_array().into_iter().flatten().filter(of_cluster);
    let last = all.max_by_key(|snapshot| snapshot["status"]["taken"].as_str().unwrap_or_default());
    last.and_then(|snapshot| snapshot["metadata"]["name"].as_str()).map(str::to_owned).ok_or_else(|| {
        Failure::new(format!(
            "{doing}: the server keeps no deleted logical cluster of that name; it does so when it is started with --retain-deleted"
        ))
    })
}

async fn put_back(
    remote: &Remote,
    doing: &str,
    cluster: &str,
    snapshot: &str,
    waiting: &Waiting,
) -> Result<(), Failure> {
    let began = Instant::now();
    let request = json!({
        "apiVersion": "tenancy.atoll.dev/v1alpha1", "kind": "RestoreRequest", "spec": {"snapshot": snapshot},
    });
    let path = format!("{WORKSPACES}/{cluster}/restore");
    remote.call("POST", &path, Some(&request)).await.map_err(|error| remote.explain(doing, error))?;
    ready(remote, doing, cluster, waiting, began).await
}
