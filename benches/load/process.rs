//! The server as processes of its own, and what the operating system tells of them.
//!
//! A server is started by a command that stays until it is told to end, and may consist of several processes (kube-apiserver and
//! etcd): all of the command's process group count, shells aside.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Failure;
use super::client::Target;

/// Clock ticks a second, as Linux counts processor time (`USER_HZ`).
const TICKS: f64 = 100.0;
/// How long a server may take to become ready, or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server whose processes are known, ended when dropped.
pub(super) struct Server {
    command: PathBuf,
    child: Child,
    dir: PathBuf,
    port: u16,
    /// From the start of the first process to the first answer of `/readyz`.
    pub(super) ready_after: Duration,
}

impl Server {
    /// Starts a server with an empty directory; it is told of that in `BENCH_DIR`, of its port in `BENCH_PORT`, and of Atoll's
    /// binary in `ATOLL`, and leaves a kubeconfig there.
    pub(super) async fn start(command: &Path, dir: &Path) -> Result<Self, Failure> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (child, ready_after) = run(command, dir, port).await?;
        Ok(Self { command: command.to_owned(), child, dir: dir.to_owned(), port, ready_after })
    }

    /// Ends the server in order and starts it again on what it kept; gives how long it took to be ready.
    pub(super) async fn restart(&mut self) -> Result<Duration, Failure> {
        self.stop()?;
        self.start_again().await
    }

    /// Ends the server in order.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        self.end()
    }

    /// Starts it again after it was ended, on what it kept; gives how long it took to be ready.
    pub(super) async fn start_again(&mut self) -> Result<Duration, Failure> {
        let (child, ready_after) = run(&self.command, &self.dir, self.port).await?;
        self.child = child;
        Ok(ready_after)
    }

    /// Where the command that starts it keeps everything.
    pub(super) fn directory(&self) -> &Path {
        &self.dir
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Resident memory in MiB, the touched pages of the programs included.
    pub(super) fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// The part of resident memory in MiB that is no file's.
    pub(super) fn anonymous_mib(&self) -> f64 {
        self.memory_mib("RssAnon:")
    }

    fn memory_mib(&self, field: &str) -> f64 {
        let resident = |pid: &u32| -> Option<f64> {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.trim().trim_end_matches(" kB").parse::<f64>().ok()
        };
        self.processes().iter().filter_map(resident).sum::<f64>() / 1024.0
    }

    /// Processor time spent so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let spent = |pid: &u32| -> Option<f64> {
            let fields = stat(*pid)?;
            Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / TICKS)
        };
        self.processes().iter().filter_map(spent).sum()
    }

    /// The processes of the server, without the shells that started them.
    fn processes(&self) -> Vec<u32> {
        let group = self.child.id().to_string();
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let of_group = stat(*pid).is_some_and(|fields| fields.get(2) == Some(&group));
            of_group && !matches!(name.trim(), "sh" | "bash" | "dash")
        })
        .collect()
    }

    /// Ends the command in order, and then what it left of its group.
    fn end(&mut self) -> Result<(), Failure> {
        let pid = self.child.id();
        for (signal, whom, patience) in [
            ("TERM", pid.to_string(), PATIENCE / 4),
            ("TERM", format!("-{pid}"), PATIENCE / 8),
            ("KILL", format!("-{pid}"), PATIENCE / 8),
        ] {
            let _ = Command::new("kill").args(["-s", signal, "--", &whom]).stderr(Stdio::null()).status();
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                let ended = self.child.try_wait()?.is_some();
                if ended && self.processes().is_empty() {
                    return Ok(());
                }
                if ended && whom == pid.to_string() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Err("the server does not end".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; either way it is waited for.
        let _ = self.end();
    }
}

async fn run(command: &Path, dir: &Path, port: u16) -> Result<(Child, Duration), Failure> {
    let started = Instant::now();
    let child = Command::new(command)
        .env("BENCH_DIR", dir)
        .env("BENCH_PORT", port.to_string())
        .env("ATOLL", std::env::var_os("ATOLL").unwrap_or_else(|| env!("CARGO_BIN_EXE_atoll").into()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    let kubeconfig = dir.join("kubeconfig");
    loop {
        if kubeconfig.exists() && is_ready(&kubeconfig).await {
            return Ok((child, started.elapsed()));
        }
        if started.elapsed() > PATIENCE {
            return Err("the server did not become ready".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn is_ready(kubeconfig: &Path) -> bool {
    let Ok(target) = Target::read(kubeconfig) else { return false };
    let Ok(client) = target.connect(1).await else { return false };
    client.send("GET", "/readyz", "", bytes::Bytes::new()).await.is_ok_and(|answer| answer.status == 200)
}

/// The fields of a process after its name: state, parent, group and so on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit(')').next()?.split_whitespace().map(str::to_owned).collect())
}
