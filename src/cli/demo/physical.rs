//! The demo's physical cluster: the one the user names, or a stand-in that takes objects and runs nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use serde_json::Value;

use super::objects;
use crate::cli::Failure;
use crate::cli::client::Remote;
use crate::server::{Running, Server};

/// A physical cluster.
pub(super) struct Physical {
    /// The file of its kubeconfig.
    pub path: PathBuf,
    /// Its kubeconfig, with everything in it.
    pub kubeconfig: String,
    /// A client of it.
    pub remote: Remote,
    stand_in: Option<Running>,
}

impl Physical {
    /// A second server, which runs no containers.
    pub(super) async fn stand_in(directory: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::because("the stand-in cannot start", error);
        let builder = Server::builder()
            .data_dir(directory)
            .listen(([127, 0, 0, 1], 0).into())
            .resources(vec!["all".to_owned()])
            .grace_period(Duration::from_secs(1));
        let server = builder.build().await.map_err(failed)?;
        let kubeconfig = server.pki().admin_kubeconfig.clone();
        let running = server.start().await.map_err(failed)?;
        let path = directory.join("admin.kubeconfig");
        let remote = Remote::open(&path).await?;
        Ok(Self { path, kubeconfig, remote, stand_in: Some(running) })
    }

    /// The cluster that a kubeconfig names.
    pub(super) async fn real(path: &Path) -> Result<Self, Failure> {
        let remote = Remote::open(path).await?;
        let kubeconfig = self_contained(remote.kubeconfig.clone())?;
        Ok(Self { path: path.to_owned(), kubeconfig, remote, stand_in: None })
    }

    /// Whether no containers run here.
    pub(super) fn is_stand_in(&self) -> bool {
        self.stand_in.is_some()
    }

    /// Sets the status that a Deployment controller and kubelets would bring about.
    pub(super) async fn play_controller(&self, namespace: &str) -> Result<(), kube::Error> {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
        let mut deployment: Value = self.remote.call("GET", &path, None).await?;
        deployment["status"] = objects::all_ready(&deployment);
        self.remote.call("PUT", &format!("{path}/status"), Some(&deployment)).await.map(drop)
    }

    /// Stops the stand-in; another cluster is not ours to stop.
    pub(super) async fn stop(self) {
        if let Some(running) = self.stand_in {
            running.stop().await;
        }
    }
}

/// Puts into a kubeconfig what it refers to: a server does not read files for others.
fn self_contained(mut kubeconfig: Kubeconfig) -> Result<String, Failure> {
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        if let Some(file) = cluster.certificate_authority.take() {
            cluster.certificate_authority_data = Some(STANDARD.encode(read(&file)?));
        }
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        if let Some(file) = user.client_certificate.take() {
            user.client_certificate_data = Some(STANDARD.encode(read(&file)?));
        }
        if let Some(file) = user.client_key.take() {
            user.client_key_data = Some(STANDARD.encode(read(&file)?).into());
        }
        if let Some(file) = user.token_file.take() {
            user.token = Some(String::from_utf8_lossy(&read(&file)?).trim().to_owned().into());
        }
        if user.exec.is_some() || user.auth_provider.is_some() {
            let why = "the kubeconfig gets its credentials from a program; the server would have to run it. Name one \
                       with a token or a client certificate (kubectl create token gives one)";
            return Err(Failure::new(why));
        }
    }
    serde_json::to_string(&kubeconfig).map_err(|error| Failure::because("the kubeconfig cannot be written", error))
}

fn read(file: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::because(format!("cannot read {file}"), error))
}
