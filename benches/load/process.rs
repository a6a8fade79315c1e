//! The server as a process of its own, and what the operating system tells of it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Failure;

/// Clock ticks a second, as Linux counts processor time (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A running `atoll serve`, ended when dropped.
pub(super) struct Server {
    child: Child,
    dir: tempfile::TempDir,
    /// From the start of the process to the first answer of `/readyz`.
    pub(super) ready_after: Duration,
}

impl Server {
    pub(super) async fn start() -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Self { child, dir, ready_after: Duration::ZERO };
        loop {
            if let Ok(kubeconfig) = kube::config::Kubeconfig::read_from(server.kubeconfig()) {
                let client = super::client(kubeconfig, None).await?;
                let request = http::Request::get("/readyz").body(Vec::new())?;
                if client.request_text(request).await.is_ok() {
                    server.ready_after = started.elapsed();
                    return Ok(server);
                }
            }
            if started.elapsed() > Duration::from_secs(30) {
                return Err("the server did not become ready".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("admin.kubeconfig")
    }

    fn proc_file(&self, name: &str) -> Result<String, Failure> {
        Ok(std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join(name))?)
    }

    /// Resident memory in MiB.
    pub(super) fn resident_mib(&self) -> Result<f64, Failure> {
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time spent so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64, Failure> {
        let stat = self.proc_file("stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) / TICKS)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
