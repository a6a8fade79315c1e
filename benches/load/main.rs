//! Measures a Kubernetes API server over HTTPS: start, memory, throughput, lists, watches, tenants.
//!
//! `cargo bench --bench load` starts Atoll on an empty durable store and measures all of it; with `-- --kubeconfig FILE` it
//! loads any other Kubernetes API server in the same way, so that two systems can be compared in one run.

mod load;
mod process;
mod report;
mod tenants;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use load::Load;
use process::Server;
use report::Report;

/// Measures a Kubernetes API server.
#[derive(Debug, Parser)]
struct Args {
    /// The server to load; without one, Atoll is started on an empty store.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The namespace to work in.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// How long each phase of load lasts, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many logical clusters are created (Atoll only).
    #[arg(long, default_value_t = 10_000)]
    tenants: usize,
    /// How many objects each of them gets before it is deleted.
    #[arg(long, default_value_t = 2)]
    content: usize,
    /// How long the server is left alone before memory is measured, in seconds: what happened is remembered for 90.
    #[arg(long, default_value_t = 110)]
    settle_seconds: u64,
    /// Measures start, memory and logical clusters only.
    #[arg(long)]
    tenants_only: bool,
    /// How many objects lists are measured on.
    #[arg(long, default_value_t = 10_000)]
    objects: usize,
    /// How many watchers an event is delivered to.
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
    /// Cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_seconds)
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let mut report = Report::default();
    match &args.kubeconfig {
        Some(file) => {
            let client = client(Kubeconfig::read_from(file)?, None).await?;
            load_server(&args, &client, None, &mut report).await?;
        }
        None => measure_atoll(&args, &mut report).await?,
    }
    report.print();
    Ok(())
}

/// All there is to measure of Atoll, on an empty durable store.
async fn measure_atoll(args: &Args, report: &mut Report) -> Result<(), Failure> {
    let server = Server::start().await?;
    report.add("start to ready, empty store", format!("{:.0} ms", server.ready_after.as_secs_f64() * 1e3));
    tokio::time::sleep(Duration::from_secs(2)).await;
    report.add("resident memory, idle", format!("{:.1} MiB", server.resident_mib()?));
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig())?;
    let root = client(kubeconfig.clone(), None).await?;

    if args.tenants > 0 {
        tenants::measure(args, &root, &server, report).await?;
    }
    if args.tenants_only {
        return Ok(());
    }
    tenants::create_one(&root, "loaded").await?;
    let tenant = client(kubeconfig, Some("/clusters/loaded")).await?;
    load_server(args, &tenant, Some(&server), report).await
}

/// What is measured of any server.
async fn load_server(
    args: &Args,
    client: &Client,
    server: Option<&Server>,
    report: &mut Report,
) -> Result<(), Failure> {
    let lasts = Duration::from_secs(args.seconds);
    let load = Load::new(client.clone(), &args.namespace);
    for concurrency in [1, 16, 64, 256] {
        let cpu = server.map(Server::cpu_seconds).transpose()?;
        let phase = load.create(concurrency, lasts).await?;
        let spent = server.map(Server::cpu_seconds).transpose()?.zip(cpu).map(|(after, before)| after - before);
        report.add_phase(&format!("create 1 KiB, {concurrency} clients"), &phase, spent);
    }
    for (name, phase) in [
        ("get, 64 clients", load.get(64, lasts).await?),
        ("update, 64 clients", load.update(64, lasts).await?),
        ("merge patch, 64 clients", load.merge_patch(64, lasts).await?),
        ("server-side apply, 64 clients", load.apply(64, lasts).await?),
    ] {
        report.add_phase(name, &phase, None);
    }
    load.fill(args.objects).await?;
    for (name, path) in [("full", ""), ("limit=500", "&limit=500"), ("selector of none", "&labelSelector=none")] {
        let started = Instant::now();
        let rounds = 10;
        for _ in 0..rounds {
            load.list(path).await?;
        }
        let each = started.elapsed() / rounds;
        report.add(&format!("list of {}, {name}", args.objects), format!("{:.1} ms", each.as_secs_f64() * 1e3));
    }
    let delivered = load.fan_out(args.watchers, 100).await?;
    report.add(&format!("watch, {} watchers", args.watchers), format!("{delivered:.0} events delivered/s"));
    Ok(())
}

/// A client of the server a kubeconfig names, at another path.
async fn client(kubeconfig: Kubeconfig, path: Option<&str>) -> Result<Client, Failure> {
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    if let Some(path) = path {
        config.cluster_url = format!("{}{path}", config.cluster_url.to_string().trim_end_matches('/')).parse()?;
    }
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}
