//! `atoll cluster`: logical clusters from the command line.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use atoll_api::LogicalClusterName;
use clap::{Args, Subcommand, ValueEnum};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::client::Remote;
use super::{Connection, Failure, cluster_archives, cluster_copies, cluster_snapshots, progress};

/// Where workspaces are.
pub(super) const WORKSPACES: &str = "/apis/tenancy.kcp.io/v1alpha1/workspaces";
/// How many clusters are created or deleted at a time from a file.
const AT_A_TIME: usize = 64;
/// How long to wait for a cluster to answer, or to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates, lists, copies, keeps, renames and deletes logical clusters.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create logical clusters, and return when they answer.
    Create(Create),
    /// List logical clusters.
    List(List),
    /// Delete logical clusters with all that is in them, and return when they are gone.
    Delete(Delete),
    /// Copy a logical cluster, as it is at one moment, into a new one.
    Clone(cluster_copies::Clone),
    /// Let a logical cluster go on under another name.
    Rename(cluster_copies::Rename),
    /// Keep what a logical cluster holds now, to put it back or make others of it.
    Snapshot(cluster_snapshots::Snapshot),
    /// Put a logical cluster back to a snapshot of itself.
    Restore(cluster_snapshots::Restore),
    /// Bring a deleted logical cluster back, if the server still keeps it.
    Undelete(cluster_snapshots::Undelete),
    /// Write all that a logical cluster holds to a file.
    Export(cluster_archives::Export),
    /// Make a logical cluster of a file that `export` wrote, here or at another server.
    Import(cluster_archives::Import),
}

#[derive(Debug, Args)]
struct Create {
    /// The name: letters, digits and dashes.
    #[arg(required_unless_present = "from_file")]
    name: Option<String>,
    /// Create a cluster for each line of this file.
    #[arg(long, value_name = "NAMES", conflicts_with = "name")]
    from_file: Option<PathBuf>,
    /// What it serves: sets (minimal, control-plane, workloads, all) and resources (deployments.apps), separated by commas.
    #[arg(long, value_name = "SETS", value_delimiter = ',', default_value = "all")]
    resources: Vec<String>,
    /// What is printed of each cluster.
    #[arg(short, long, value_enum, default_value_t = Output::Name)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct List {
    /// What is printed of each cluster.
    #[arg(short, long, value_enum, default_value_t = Output::Name)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct Delete {
    /// The names.
    #[arg(required_unless_present = "from_file")]
    names: Vec<String>,
    /// Delete the cluster of each line of this file.
    #[arg(long, value_name = "NAMES", conflicts_with = "names")]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// What is printed of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Its name.
    Name,
    /// The URL at which it answers.
    Url,
    /// Its workspace as JSON.
    Json,
}

impl Cluster {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Create(command) => command.run().await,
            Command::List(command) => command.run().await,
            Command::Delete(command) => command.run().await,
            Command::Clone(command) => command.run().await,
            Command::Rename(command) => command.run().await,
            Command::Snapshot(command) => command.run().await,
            Command::Restore(command) => command.run().await,
            Command::Undelete(command) => command.run().await,
            Command::Export(command) => command.run().await,
            Command::Import(command) => command.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<(), Failure> {
        let names = names(self.name.as_slice(), self.from_file.as_ref())?;
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let bar = progress::bar(names.len() as u64, "creating");
        let mut created = stream::iter(names)
            .map(|name| {
                let (remote, resources) = (&remote, &self.resources);
                async move { create(remote, name, resources).await }
            })
            .buffered(AT_A_TIME);
        while let Some(done) = created.next().await {
            let workspace = done?;
            bar.inc(1);
            bar.suspend(|| show(&remote, &workspace, self.output));
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Creates one cluster and waits until it answers.
async fn create(remote: &Remote, name: String, resources: &[String]) -> Result<Value, Failure> {
    let workspace = json!({
        "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
        "spec": {"resources": resources},
    });
    let doing = format!("creating the logical cluster {name:?}");
    let workspace =
        remote.call("POST", WORKSPACES, Some(&workspace)).await.map_err(|error| remote.explain(&doing, error))?;
    let until = Instant::now() + PATIENCE;
    let path = format!("/clusters/{name}/api");
    loop {
        match remote.call("GET", &path, None).await {
            Ok(_) => return Ok(workspace),
            Err(error) if Instant::now() > until => return Err(remote.explain(&doing, error)),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let mut token = String::new();
        loop {
            let path = format!("{WORKSPACES}?limit=500&continue={token}");
            let doing = "listing logical clusters";
            let list = remote.call("GET", &path, None).await.map_err(|error| remote.explain(doing, error))?;
            for workspace in list["items"].as_array().into_iter().flatten() {
                show(&remote, workspace, self.output);
            }
            token = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Delete {
    async fn run(self) -> Result<(), Failure> {
        let names = names(&self.names, self.from_file.as_ref())?;
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let bar = progress::bar(names.len() as u64, "deleting");
        let mut deleted = stream::iter(names)
            .map(|name| {
                let remote = &remote;
                async move { delete(remote, &name).await.map(|()| name) }
            })
            .buffered(AT_A_TIME);
        while let Some(done) = deleted.next().await {
            let name = done?;
            bar.inc(1);
            bar.suspend(|| println!("{name} deleted"));
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Deletes one cluster and waits until it is gone.
async fn delete(remote: &Remote, name: &str) -> Result<(), Failure> {
    let path = format!("{WORKSPACES}/{name}");
    let doing = format!("deleting the logical cluster {name:?}");
    remote.call("DELETE", &path, None).await.map_err(|error| remote.explain(&doing, error))?;
    let until = Instant::now() + PATIENCE;
    loop {
        match remote.call("GET", &path, None).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            _ if Instant::now() > until => {
                return Err(Failure::new(format!(
                    "{doing}: it is still not gone after a minute; see the server's log"
                )));
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn show(remote: &Remote, workspace: &Value, output: Output) {
    let name = workspace["metadata"]["name"].as_str().unwrap_or_default();
    match output {
        Output::Name => println!("{name}"),
        Output::Url => println!("{}", remote.cluster_url(name)),
        Output::Json => println!("{workspace}"),
    }
}

/// The names given, or those of the file; each is checked before anything is done.
fn names(given: &[String], file: Option<&PathBuf>) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = match file {
        None => given.to_vec(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::because(format!("cannot read {}", path.display()), error))?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    for name in &names {
        LogicalClusterName::parse(name).map_err(|error| Failure::new(error.to_string()))?;
    }
    Ok(names)
}
