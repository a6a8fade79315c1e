//! `atoll envtest`: stands in for the programs that controller-runtime's envtest starts, so that suites of controllers run
//! on Atoll unchanged.
//!
//! The programs are links to `atoll` itself, which knows by the name it is called what it is to be.

mod apiserver;
mod etcd;
mod flags;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::SignalKind;

use super::Failure;
use super::serve::listen_for;

/// Writes stand-ins for `kube-apiserver` and `etcd`, and a link to `kubectl`, for KUBEBUILDER_ASSETS to point to.
#[derive(Debug, Args)]
pub(super) struct Envtest {
    /// The directory to write them to.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// A program that `atoll` can stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The API server, of one cluster, in memory.
    ApiServer,
    /// A store that stores nothing: the API server has its own.
    Etcd,
}

// === impl Envtest ===

impl Envtest {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let cannot = |error| Failure::because(format!("cannot write to {}", self.dir.display()), error);
        std::fs::create_dir_all(&self.dir).map_err(cannot)?;
        let dir = self.dir.canonicalize().map_err(cannot)?;
        let own = std::env::current_exe().map_err(|error| Failure::because("cannot find atoll itself", error))?;
        for program in [Program::ApiServer, Program::Etcd] {
            link(&own, &dir.join(program.name()))?;
        }
        match on_path("kubectl", &dir) {
            Some(kubectl) => link(&kubectl, &dir.join("kubectl"))?,
            None => eprintln!("there is no kubectl on PATH to link to; suites that run kubectl will miss it"),
        }
        println!("export KUBEBUILDER_ASSETS={}", dir.display());
        Ok(())
    }
}

/// Links to a program. What is there already and is no link is somebody's real program, and stays.
fn link(program: &Path, at: &Path) -> Result<(), Failure> {
    match at.symlink_metadata() {
        Ok(found) if found.is_symlink() => std::fs::remove_file(at)
            .map_err(|error| Failure::because(format!("cannot replace {}", at.display()), error))?,
        Ok(_) => {
            let text = format!("{} is there already and is no link; name another directory with --dir", at.display());
            return Err(Failure::new(text));
        }
        Err(_) => {}
    }
    std::os::unix::fs::symlink(program, at)
        .map_err(|error| Failure::because(format!("cannot make the link {}", at.display()), error))
}

/// The first program of that name on PATH outside a directory.
fn on_path(name: &str, outside: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).filter(|dir| dir != outside).map(|dir| dir.join(name));
    found.filter(|file| file.is_file()).find_map(|file| file.canonicalize().ok())
}

// === impl Program ===

impl Program {
    /// The program that is meant by the name under which the process was started.
    pub(super) fn called(name: &OsStr) -> Option<Self> {
        let name = Path::new(name).file_name()?;
        [Self::ApiServer, Self::Etcd].into_iter().find(|program| name == program.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::Etcd => "etcd",
        }
    }

    /// Runs it until it is told to stop.
    pub(super) async fn run(self, arguments: Vec<String>) -> Result<(), Failure> {
        match self {
            Self::ApiServer => apiserver::run(&arguments).await,
            Self::Etcd => etcd::run(&arguments).await,
        }
    }
}

/// Resolves when the process is asked to end.
async fn told_to_stop() -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (listen_for(SignalKind::interrupt())?, listen_for(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
