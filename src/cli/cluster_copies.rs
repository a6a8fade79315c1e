//! `atoll cluster clone` and `rename`: one logical cluster made of another, and waiting until it is there.

use std::time::{Duration, Instant};

use atoll_api::LogicalClusterName;
use clap::Args;
use serde_json::{Value, json};

use super::client::Remote;
use super::cluster::WORKSPACES;
use super::{Connection, Failure, progress};

/// How often it is looked whether a cluster is ready.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Copies a logical cluster, as it is at one moment, into a new one.
#[derive(Debug, Args)]
pub(super) struct Clone {
    /// The logical cluster to copy.
    source: String,
    /// The name of the copy.
    name: String,
    /// What the copy serves, as in `atoll cluster create` [default: what the source serves]
    #[arg(long, value_name = "SETS", value_delimiter = ',')]
    resources: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    connection: Connection,
}

/// Lets a logical cluster go on under another name. Nobody can write to it meanwhile, and credentials that were made for
/// it, such as tokens of service accounts and users, are to be made anew.
#[derive(Debug, Args)]
pub(super) struct Rename {
    /// The logical cluster.
    name: String,
    /// Its new name.
    new_name: String,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    connection: Connection,
}

/// Whether to wait.
#[derive(Debug, Args)]
pub(super) struct Waiting {
    /// Return at once; the logical cluster is served when its workspace is Ready.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, in seconds; the server goes on afterwards.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

impl Waiting {
    /// Whether nobody waits.
    pub(super) fn is_left(&self) -> bool {
        self.no_wait
    }
}

impl Clone {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut spec = json!({"source": {"cluster": self.source}});
        if !self.resources.is_empty() {
            spec["resources"] = self.resources.into();
        }
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let doing = format!("copying the logical cluster {:?} to {:?}", self.source, self.name);
        make(&remote, &doing, &self.name, spec, &self.waiting).await
    }
}

impl Rename {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let spec = json!({"source": {"cluster": self.name, "move": true}});
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let doing = format!("renaming the logical cluster {:?} to {:?}", self.name, self.new_name);
        make(&remote, &doing, &self.new_name, spec, &self.waiting).await
    }
}

/// Creates a workspace with a source, and waits until its cluster is there.
pub(super) async fn make(
    remote: &Remote,
    doing: &str,
    name: &str,
    spec: Value,
    waiting: &Waiting,
) -> Result<(), Failure> {
    LogicalClusterName::parse(name).map_err(|error| Failure::new(error.to_string()))?;
    let began = Instant::now();
    let workspace = json!({
        "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name}, "spec": spec,
    });
    remote.call("POST", WORKSPACES, Some(&workspace)).await.map_err(|error| remote.explain(doing, error))?;
    ready(remote, doing, name, waiting, began).await
}

/// Waits until a cluster is ready, and says what is in it.
pub(super) async fn ready(
    remote: &Remote,
    doing: &str,
    name: &str,
    waiting: &Waiting,
    began: Instant,
) -> Result<(), Failure> {
    if waiting.no_wait {
        println!("{name}");
        return Ok(());
    }
    let spinner = progress::spinner(doing.to_owned());
    let until = began + Duration::from_secs(waiting.timeout);
    let path = format!("{WORKSPACES}/{name}");
    let workspace = loop {
        let workspace = remote.call("GET", &path, None).await.map_err(|error| remote.explain(doing, error))?;
        if workspace["status"]["phase"] == "Ready" {
            break workspace;
        }
        if let Some(why) = trouble(&workspace) {
            spinner.finish_and_clear();
            let advice = format!("if it stays so, give up with `atoll cluster delete {name}`");
            return Err(Failure::new(format!("{doing}: {why} ({advice})")));
        }
        if Instant::now() > until {
            spinner.finish_and_clear();
            return Err(Failure::new(format!(
                "{doing}: it is not ready after {} s; the server goes on, see `kubectl get workspace {name} -o yaml`",
                waiting.timeout
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    spinner.finish_and_clear();
    let number = |field: &str| workspace["status"]["content"][field].as_u64().unwrap_or_default();
    let (objects, megabytes) = (number("objects"), number("bytes") as f64 / 1e6);
    println!("{name} is ready: {objects} objects, {megabytes:.1} MB, {:.2} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Why a workspace's cluster is not made, if it says so.
fn trouble(workspace: &Value) -> Option<&str> {
    let conditions = workspace["status"]["conditions"].as_array()?;
    // One whose source is being made itself waits for it.
    let failed = |condition: &&Value| {
        condition["type"] == "ContentCopied"
            && condition["status"] == "False"
            && condition["reason"] != "SourceNotReady"
    };
    conditions.iter().find(failed)?["message"].as_str()
}
