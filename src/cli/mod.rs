//! The `atoll` command: its words, and one file for each of its commands.

mod backup;
mod check;
mod client;
mod cluster;
mod cluster_archives;
mod cluster_copies;
mod cluster_snapshots;
mod demo;
mod envtest;
mod kubeconfig;
mod progress;
mod restoring;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A multi-tenant control plane: many isolated Kubernetes API servers in one process.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Box<serve::Serve>),
    /// Show what Atoll does: two tenants with incompatible APIs, and a workload that runs on a physical cluster.
    Demo(demo::Demo),
    /// Create, list, copy, keep, rename and delete logical clusters.
    Cluster(cluster::Cluster),
    /// Write all that a server keeps to a file, while it runs.
    Backup(backup::Backup),
    /// Make the data of a server from a backup.
    Restore(backup::Restore),
    /// Check the files of a server that does not run, and repair them.
    Check(check::Check),
    /// Stand in for the programs that controller-runtime's envtest starts.
    Envtest(envtest::Envtest),
    /// Print or merge a kubeconfig for a logical cluster, for its administrator or for a user of it.
    Kubeconfig(kubeconfig::Kubeconfig),
}

/// How commands find the server they speak to.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Kubeconfig of the platform's administrator, as `atoll serve` writes it.
    #[arg(long, value_name = "FILE", env = "ATOLL_KUBECONFIG", default_value = "./.atoll/admin.kubeconfig")]
    kubeconfig: PathBuf,
}

/// A failure of a command: what went wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure that explains itself.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    /// A failure with the error that caused it.
    pub fn because(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }
}

/// What the process was started for.
enum Task {
    /// A command of `atoll`.
    Command(Box<Command>),
    /// Another program, by whose name it was called, with that program's arguments.
    StandIn(envtest::Program, Vec<String>),
}

/// Runs the command the arguments name.
pub fn run() -> ExitCode {
    let task = Task::of_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::because("cannot start", error)),
    };
    let done = runtime.block_on(task.run());
    // Whatever still runs in the background has been told to stop; it must not keep the process alive.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(failure) => fail(&failure),
    }
}

// === impl Task ===

impl Task {
    fn of_process() -> Self {
        let mut arguments = std::env::args_os();
        match arguments.next().and_then(|name| envtest::Program::called(&name)) {
            Some(program) => Self::StandIn(program, arguments.map(|a| a.to_string_lossy().into_owned()).collect()),
            None => Self::Command(Box::new(Cli::parse().command)),
        }
    }

    async fn run(self) -> Result<ExitCode, Failure> {
        let done = match self {
            Self::StandIn(program, arguments) => program.run(arguments).await,
            Self::Command(command) => match *command {
                Command::Serve(command) => command.run().await,
                Command::Demo(command) => command.run().await,
                Command::Cluster(command) => command.run().await,
                Command::Envtest(command) => command.run().await,
                Command::Kubeconfig(command) => command.run().await,
                Command::Backup(command) => command.run().await,
                Command::Restore(command) => command.run().await,
                Command::Check(command) => return command.run().await,
            },
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Tells of a failure with its whole chain of causes.
fn fail(failure: &Failure) -> ExitCode {
    let mut text = format!("error: {failure}");
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        text.push_str(&format!("\n  because: {error}"));
        cause = error.source();
    }
    eprintln!("{text}");
    ExitCode::FAILURE
}
