//! `atoll cluster export` and `import`: a logical cluster as a file, and from one, between servers.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt;
use http_body_util::BodyStream;
use serde_json::{Value, json};

use super::client::Remote;
use super::cluster_copies::{Waiting, make};
use super::cluster_snapshots::{SNAPSHOTS, content, take};
use super::{Connection, Failure, progress};
use crate::storage::archive::{ArchiveError, ArchiveReader, End, Header};

/// Writes all that a logical cluster holds at one moment to a file, which `atoll cluster import` reads. The file holds its
/// secrets; it is readable by you alone.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The logical cluster.
    cluster: String,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// Makes a logical cluster of a file. Its content is taken as it is, so import only what you trust.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file, as `atoll cluster export` wrote it.
    file: PathBuf,
    /// The name of the new logical cluster.
    name: String,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    connection: Connection,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let name = format!("export-{}", uuid::Uuid::new_v4().simple());
        take(&remote, &self.cluster, &name, json!({"cluster": self.cluster})).await?;
        let path = format!("{SNAPSHOTS}/{name}");
        let doing = format!("exporting the logical cluster {:?}", self.cluster);
        let written = download(&remote, &doing, &format!("{path}/content"), &self.to).await;
        // Also when it could not be written: nobody else knows of it.
        let removed = remote.call("DELETE", &path, None).await;
        written?;
        removed.map_err(|error| remote.explain(&format!("{doing}: removing the snapshot {name:?}"), error))?;
        let (_, end) = verify(&self.to)?;
        println!("{}: {} objects, {:.1} MB", self.to.display(), end.records, end.bytes as f64 / 1e6);
        Ok(())
    }
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Failure> {
        verify(&self.file)?;
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let doing = format!("importing {} as the logical cluster {:?}", self.file.display(), self.name);
        let name = format!("import-{}", uuid::Uuid::new_v4().simple());
        let snapshot = json!({
            "apiVersion": "tenancy.atoll.dev/v1alpha1", "kind": "ClusterSnapshot", "metadata": {"name": name},
            "spec": {"upload": true},
        });
        remote.call("POST", SNAPSHOTS, Some(&snapshot)).await.map_err(|error| remote.explain(&doing, error))?;
        let path = format!("{SNAPSHOTS}/{name}");
        let made = self.make(&remote, &doing, &path, &name).await;
        // Once the cluster is there, or cannot be, nobody needs it; where nobody waits, it must stay.
        if !self.waiting.is_left() || made.is_err() {
            let removed = remote.call("DELETE", &path, None).await;
            removed.map_err(|error| remote.explain(&format!("{doing}: removing the snapshot {name:?}"), error))?;
        }
        made
    }

    async fn make(&self, remote: &Remote, doing: &str, path: &str, name: &str) -> Result<(), Failure> {
        let bytes = std::fs::read(&self.file)
            .map_err(|error| Failure::because(format!("cannot read {}", self.file.display()), error))?;
        let spinner = progress::spinner(doing.to_owned());
        let sent = remote.stream("PUT", &format!("{path}/content"), bytes).await;
        spinner.finish_and_clear();
        sent.map_err(|error| remote.explain(doing, error))?;
        let snapshot: Value = remote.call("GET", path, None).await.map_err(|error| remote.explain(doing, error))?;
        eprintln!("sent {}", content(&snapshot));
        make(remote, doing, &self.name, json!({"source": {"snapshot": name}}), &self.waiting).await
    }
}

/// Writes what a path answers to a file, which appears when it is whole.
pub(super) async fn download(remote: &Remote, doing: &str, path: &str, to: &Path) -> Result<u64, Failure> {
    let failed =
        |error| Failure::because(format!("cannot write {}; choose another place with --to", to.display()), error);
    let partial = to.with_extension("partial");
    let mut how = File::options();
    how.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    let mut file = how.open(&partial).map_err(failed)?;
    let body = remote.stream("GET", path, Vec::new()).await.map_err(|error| remote.explain(doing, error))?;
    let spinner = progress::spinner(doing.to_owned());
    let mut body = BodyStream::new(body);
    let mut size = 0;
    while let Some(frame) = body.next().await {
        let frame =
            frame.map_err(|error| Failure::because(format!("{doing}: the answer broke off; try again"), error))?;
        if let Ok(data) = frame.into_data() {
            size += data.len() as u64;
            file.write_all(&data).map_err(failed)?;
            spinner.set_message(format!("{doing}: {:.1} MB", size as f64 / 1e6));
        }
    }
    file.sync_all().and_then(|()| std::fs::rename(&partial, to)).map_err(failed)?;
    spinner.finish_and_clear();
    Ok(size)
}

/// Reads all of an archive and checks it.
pub(super) fn verify(path: &Path) -> Result<(Header, End), Failure> {
    let open = || -> Result<(Header, End), ArchiveError> {
        let (header, mut reader) = ArchiveReader::open(BufReader::new(File::open(path)?))?;
        while reader.next_record()?.is_some() {}
        let end = reader.end().cloned().ok_or_else(|| ArchiveError::Damaged("it has no end".into()))?;
        Ok((header, end))
    };
    open().map_err(|error| Failure::because(format!("{} cannot be used", path.display()), error))
}
