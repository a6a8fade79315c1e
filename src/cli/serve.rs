//! `atoll serve`: the server, from nothing to ready in one command.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::authn::signed::Issuer;
use crate::flow::{FlowControl, Settings};
use crate::outbound::{Addresses, Outbound};
use crate::resources::AddressRange;
use crate::server::{self, Server};
use crate::storage::Durability;

/// Runs the server until Ctrl-C or SIGTERM.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where certificates, credentials and (unless --storage says otherwise) data are kept.
    #[arg(long, value_name = "DIR", default_value = "./.atoll")]
    data_dir: PathBuf,
    /// The address to serve HTTPS at.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// Where objects are stored: a directory, file:///directory, sqlite:///file, memory://, or an etcd that several servers may
    /// share:
    /// etcd://HOST:PORT,HOST:PORT/PREFIX, etcd+https://…?ca-file=FILE&cert-file=FILE&key-file=FILE&user=NAME&password-file=FILE
    /// [default: DATA_DIR/store]
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// For how long a start waits for a store that cannot be reached, such as an etcd that is starting as well or has no leader:
    /// a number and s, m, h or d; 0 for not at all. What a URL, certificate or password keeps from it fails at once.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    wait_for_store: Duration,
    /// Static users, one a line: token,user,uid,"group1,group2" (kube-apiserver's format).
    #[arg(long, value_name = "FILE")]
    token_auth_file: Option<PathBuf>,
    /// The URL by which others reach this server: tokens of service accounts then name URL/clusters/NAME as their issuer,
    /// which publishes the keys to check them with [default: the issuer is https://kubernetes.default.svc everywhere]
    #[arg(long, value_name = "URL")]
    token_issuer: Option<String>,
    /// What the system cluster serves besides Atoll's own kinds, and what tenants may choose from: sets (minimal,
    /// control-plane, workloads, all) and resources (deployments.apps), separated by commas.
    #[arg(long, value_name = "SETS", value_delimiter = ',', default_value = "control-plane")]
    resources: Vec<String>,
    /// The IPv4 addresses that services may have, the same in each logical cluster, such as 10.96.0.0/12
    /// [default: any; those that are given come from 10.0.0.0/8]
    #[arg(long, value_name = "CIDR")]
    service_cluster_ip_range: Option<String>,
    /// The address by which others reach this server, to which the `kubernetes` service of each logical cluster leads
    /// [default: that of --listen, or the one by which this machine reaches others]
    #[arg(long, value_name = "ADDR")]
    advertise_address: Option<IpAddr>,
    /// For how long what deleted logical clusters held is kept, so that `atoll cluster undelete` can bring them back: a number
    /// and s, m, h or d; 0 for not at all. The annotation tenancy.atoll.dev/retain of a workspace says otherwise for its cluster.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = span)]
    retain_deleted: Duration,
    /// When a write is acknowledged: after it survives a power loss, or at once.
    #[arg(long, value_enum, default_value_t = Durable::Full)]
    durability: Durable,
    /// Where webhooks and aggregated API servers, which tenants name, may be: remote is any address but the server's own
    /// and link-local ones, through which tenants would reach what only this machine may; public is none in private
    /// networks, either; any is any; or only in these networks: 10.0.0.0/8,fd00::/8.
    #[arg(long, alias = "webhook-addresses", value_name = "remote|public|any|CIDR,CIDR", default_value = "remote")]
    outbound_addresses: Addresses,
    /// Admission plugins that do not run, in any logical cluster, by the names they have in Kubernetes: ServiceAccount,
    /// DefaultTolerationSeconds.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    disable_admission_plugins: Vec<String>,
    /// How many requests that read are served at a time. With priority and fairness, which share them between logical
    /// clusters, this and the next are added up [default: what suits the processors of this machine]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_requests_inflight: Option<u32>,
    /// How many requests that write are served at a time [default: as above]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_mutating_requests_inflight: Option<u32>,
    /// Whether requests wait for their turn, logical clusters sharing fairly; else those beyond the limits are refused,
    /// whoever makes them.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    enable_priority_and_fairness: bool,
    /// How long requests under way may take when the server stops, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace_period: u64,
    /// How much is logged: error, warn, info, debug, trace, or per module (see RUST_LOG).
    #[arg(long, value_name = "FILTER", env = "ATOLL_LOG", default_value = "warn")]
    log: String,
    /// The format of the log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Durable {
    /// After it survives a power loss.
    Full,
    /// At once; a power loss may take the last moments.
    Relaxed,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// For machines, one object a line.
    Json,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        start_log(&self.log, self.log_format)?;
        let began = Instant::now();
        let mut interrupt = listen_for(SignalKind::interrupt())?;
        let mut terminate = listen_for(SignalKind::terminate())?;
        let storage = self.storage.clone().unwrap_or_else(|| self.data_dir.join("store").display().to_string());
        let mut builder = Server::builder()
            .data_dir(&self.data_dir)
            .listen(self.listen)
            .storage(storage)
            .resources(self.resources.clone())
            .durability(match self.durability {
                Durable::Full => Durability::Full,
                Durable::Relaxed => Durability::Relaxed,
            })
            .outbound(Outbound { addresses: self.outbound_addresses.clone(), services: None })
            .flow_control(flow_control(
                self.max_requests_inflight,
                self.max_mutating_requests_inflight,
                self.enable_priority_and_fairness,
            ))
            .without_admission(self.disable_admission_plugins.iter())
            .store_patience(self.wait_for_store)
            .retain_deleted(self.retain_deleted)
            .grace_period(Duration::from_secs(self.grace_period));
        if let Some(file) = &self.token_auth_file {
            builder = builder.token_auth_file(file);
        }
        if let Some(range) = &self.service_cluster_ip_range {
            builder = builder.service_addresses(service_addresses(range)?);
        }
        if let Some(address) = self.advertise_address {
            builder = builder.advertise_address(address);
        }
        if let Some(url) = &self.token_issuer {
            builder = builder.token_issuer(issuer(url)?);
        }
        // The store may keep it waiting, which whoever stops it need not.
        let server = tokio::select! {
            built = builder.build() => built.map_err(|error| Failure::because("the server cannot start", error))?,
            _ = interrupt.recv() => return stopped_early(),
            _ = terminate.recv() => return stopped_early(),
        };
        let running = server.start().await.map_err(|error| Failure::because("the server cannot start", error))?;
        self.tell(&running, began.elapsed());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            reason = running.failed() => {
                running.stop().await;
                return Err(Failure::new(format!(
                    "the store failed and takes no more writes: {reason}; nothing that was acknowledged is lost: make room or mend the disk, look with `atoll check`, and start again"
                )));
            }
        }
        eprintln!("stopping; requests under way may take up to {} s", self.grace_period);
        running.stop().await;
        Ok(())
    }

    fn tell(&self, running: &server::Running, took: Duration) {
        let kubeconfig = self.data_dir.join("admin.kubeconfig");
        println!("Atoll serves {} (ready after {} ms)", running.url(), took.as_millis());
        println!();
        println!("  export KUBECONFIG={}", kubeconfig.display());
        println!("  atoll cluster create team-a            # a new, isolated Kubernetes API");
        println!("  atoll kubeconfig team-a > team-a.yaml  # hand it to its users");
        println!("  kubectl --kubeconfig team-a.yaml api-resources");
    }
}

/// Told to stop before there was anything to stop.
fn stopped_early() -> Result<(), Failure> {
    eprintln!("stopped before it served anything");
    Ok(())
}

/// What Kubernetes' three flags ask for; limits that are not given are those that suit this machine.
pub(super) fn flow_control(reading: Option<u32>, writing: Option<u32>, fair: bool) -> FlowControl {
    let usual = Settings::default().seats;
    // Kubernetes' proportion: two that read for one that writes.
    let (reading, writing) = (reading.unwrap_or(usual * 2 / 3), writing.unwrap_or(usual / 3));
    match fair {
        true => FlowControl::Fair(Settings::of_seats(reading.saturating_add(writing))),
        false => FlowControl::InFlight { reading, writing },
    }
}

fn span(text: &str) -> Result<Duration, String> {
    crate::tenancy::parse_span(text).ok_or_else(|| "give a number and s, m, h or d, such as 24h, or 0".to_owned())
}

fn service_addresses(text: &str) -> Result<AddressRange, Failure> {
    AddressRange::parse(text).ok_or_else(|| {
        Failure::new(format!("--service-cluster-ip-range {text:?} is no IPv4 range of at least four addresses; give one such as 10.96.0.0/12"))
    })
}

/// Each cluster is an issuer of its own below this URL.
fn issuer(url: &str) -> Result<Issuer, Failure> {
    let base = url.trim_end_matches('/');
    if !base.starts_with("https://") || base.contains(['?', '#', ' ']) {
        return Err(Failure::new(format!("--token-issuer {url:?} is not a URL that begins with https://")));
    }
    Ok(Issuer::PerCluster { base: base.to_owned() })
}

/// The signals of one kind that the process gets from now on.
pub(super) fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::because("cannot listen for signals", error))
}

/// Sets up the log of the whole process, on standard error.
pub(super) fn start_log(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| Failure::because(format!("{filter:?} is not a log filter; try info or atoll=debug"), error))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    set.map_err(|error| Failure::because("cannot set up the log", error))
}
