//! Measures Kubernetes API servers over HTTPS, and compares what was measured.
//!
//! `cargo bench --bench load` starts Atoll on an empty durable store and measures it; `-- --serve COMMAND` does the same with
//! any server that a command starts, `-- --kubeconfig FILE` loads one that runs already. With `--out` each run writes down
//! what it measured, and `-- --compare FILE...` prints a table of medians and ratios. docs/benchmarks/README.md has the method,
//! `benches/compare.sh` all of it for Atoll and kube-apiserver.

mod bare;
mod bulk;
mod client;
mod definitions;
mod load;
mod neighbours;
mod process;
mod report;
mod suite;
mod tenants;
mod watchers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use client::Target;
use process::Server;
use report::Report;
use suite::Suite;

/// Measures Kubernetes API servers.
#[derive(Debug, Parser)]
struct Args {
    /// A server that runs already.
    #[arg(long, value_name = "FILE", conflicts_with = "serve")]
    kubeconfig: Option<PathBuf>,
    /// The command that starts the server, told its directory and port by BENCH_DIR and BENCH_PORT; it leaves `kubeconfig` there.
    #[arg(long, value_name = "COMMAND", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/servers/atoll.sh"))]
    serve: PathBuf,
    /// What the server is called in tables.
    #[arg(long, default_value = "Atoll")]
    name: String,
    /// A token of the user `bench`, whom RBAC lets in; without it the load is the administrator's.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Writes what was measured to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Measures nothing, but compares what several runs wrote down; the first one's server is compared with the others.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    compare: Vec<PathBuf>,
    /// What is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::usual())]
    parts: Vec<Part>,
    /// Fewer phases.
    #[arg(long)]
    short: bool,
    /// How long each phase of load lasts, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Creations a second whose latencies are measured; none if 0.
    #[arg(long, default_value_t = 500)]
    rate: usize,
    /// How many objects lists are measured on.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    lists: Vec<usize>,
    /// How many watchers an event is delivered to.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1_000, 10_000])]
    watchers: Vec<usize>,
    /// About how many deliveries are measured.
    #[arg(long, default_value_t = 100_000)]
    deliveries: usize,
    /// How many definitions are installed.
    #[arg(long, default_value_t = 500)]
    definitions: usize,
    /// How many fields the spec of each has: 16 make a definition of 6 KiB, 100 one of 40.
    #[arg(long, default_value_t = 16)]
    definition_fields: usize,
    /// In how many tenants the same definitions are installed.
    #[arg(long, default_value_t = 1)]
    definition_tenants: usize,
    /// Also creates an object of each, so that its schema is compiled.
    #[arg(long)]
    definition_objects: bool,
    /// How many tenants are created: logical clusters, or namespaces in their stead.
    #[arg(long, default_value_t = 10_000)]
    tenants: usize,
    /// Tenants a second at which the latency of their creation is measured, where they are logical clusters; none if 0.
    #[arg(long, default_value_t = 1_000)]
    tenant_rate: usize,
    /// Also fills the tenants and deletes them, where they are logical clusters.
    #[arg(long)]
    deletes: bool,
    /// How many objects each of them gets before it is deleted.
    #[arg(long, default_value_t = 2)]
    content: usize,
    /// How many objects there are when the part `bulk` starts the server.
    #[arg(long, default_value_t = 1_000_000)]
    bulk: usize,
    /// The etcd to which the part `etcd` speaks by itself [default: that of the server, if the command that starts it leaves its URL in
    /// `etcd-url`]
    #[arg(long, value_name = "URL")]
    etcd: Option<String>,
    /// How long the server is left alone before memory is measured, in seconds: what happened is remembered for 90, and a little.
    #[arg(long, default_value_t = 130)]
    settle_seconds: u64,
    /// Cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of what can be measured, besides start and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Tenants by the thousand.
    Tenants,
    /// Each verb at several concurrencies.
    Crud,
    /// A tenant beside one that does all it can.
    Neighbours,
    /// Lists: full, paged, selected, as a table; and memory per object.
    Lists,
    /// Events to many watchers.
    Watch,
    /// Custom resource definitions.
    Definitions,
    /// Ready again, with all that was stored.
    Restart,
    /// An etcd with no server before it, where there is one.
    Etcd,
    /// A start with very many objects, which are put into the embedded store at once. Only where it is asked for.
    Bulk,
}

impl Part {
    /// What is measured unless something else is asked for: all but what works with one kind of server only.
    fn usual() -> Vec<Self> {
        Self::value_variants().iter().copied().filter(|part| *part != Self::Bulk).collect()
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Args {
    fn lasts(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_seconds)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    if !args.compare.is_empty() {
        print!("{}", report::compare(&args.compare)?);
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (server, kubeconfig) = match &args.kubeconfig {
        Some(file) => (None, file.clone()),
        None => {
            let server = Server::start(&args.serve, dir.path()).await?;
            let kubeconfig = server.kubeconfig();
            (Some(server), kubeconfig)
        }
    };
    let admin = Target::read(&kubeconfig)?;
    let bench = match token(&args, dir.path())? {
        Some(token) => admin.clone().with_token(&token)?,
        None => admin.clone(),
    };
    let mut suite = Suite { args: &args, admin, bench, server, report: Report::new(&args.name) };
    let outcome = suite.run().await;
    suite.report.print();
    if let Some(file) = &args.out {
        suite.report.write(file)?;
    }
    outcome
}

/// The token of the user `bench`: given, or left by the command that started the server.
fn token(args: &Args, dir: &Path) -> Result<Option<String>, Failure> {
    let left = dir.join("bench-token");
    let left = left.exists().then(|| std::fs::read_to_string(left)).transpose()?;
    Ok(args.token.clone().or(left.map(|token| token.trim().to_owned())))
}
