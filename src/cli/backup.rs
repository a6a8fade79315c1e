//! `atoll backup` and `atoll restore`: all that a server keeps, as files, and a server made of them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atoll_api::time::format_time;
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::client::Remote;
use super::cluster_archives::{download, verify};
use super::restoring::{self, Content, create};
use super::{Connection, Failure};
use crate::server::pki::KEPT_FILES;
use crate::storage::archive::{ArchiveError, ArchiveReader, Archiver, Header, Kept, Subject, checksum_of};
use crate::storage::{self, Record};

/// How the files of a directory of backups end.
const ENDING: &str = "atoll-backup";

/// Writes all that a server keeps to a file: every logical cluster, and the keys that its clients know it by. Nobody waits for it.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write; or a directory, in which each backup gets a name of its own.
    #[arg(long, value_name = "FILE|DIR")]
    to: PathBuf,
    /// Leave out what is in this earlier backup, which is needed to restore, too.
    #[arg(long, value_name = "FILE", conflicts_with = "incremental")]
    since: Option<PathBuf>,
    /// Leave out what is in the last backup of the directory; without one, write a whole one.
    #[arg(long)]
    incremental: bool,
    /// Read the files of a server that does not run, instead of asking one that does.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Makes the data of a server from a backup, which is checked first. Clients go on with the credentials they have.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup, or the directory of backups, of which the last is taken; those that it builds on are looked for beside it.
    #[arg(long, value_name = "FILE|DIR")]
    from: PathBuf,
    /// Only check that all of it can be read.
    #[arg(long)]
    verify: bool,
    /// The data directory of the new server, without data as yet, or with what an interrupted restore has left.
    #[arg(long, value_name = "DIR", default_value = "./.atoll")]
    data_dir: PathBuf,
    /// Where the new server's objects are stored, as in `atoll serve` [default: DATA_DIR/store]
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
}

/// What a store held, read from one or several backups.
struct Held {
    header: Header,
    values: BTreeMap<Vec<u8>, (u64, Bytes)>,
}

impl Backup {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let base = match &self.since {
            Some(file) => Some(file.clone()),
            None if self.incremental => {
                if !self.to.is_dir() {
                    return Err(Failure::new(
                        "--incremental needs --to to be a directory that exists; or name the earlier backup with --since",
                    ));
                }
                last_in(&self.to)?
            }
            None => None,
        };
        let since = base.as_deref().map(verify).transpose()?.map(|(header, _)| header);
        if let Some(header) = since.as_ref().filter(|header| header.of != Subject::Store) {
            return Err(Failure::new(format!(
                "the earlier backup is of one logical cluster ({:?}); leave it out",
                header.of
            )));
        }
        let partial = if self.to.is_dir() { self.to.join("new") } else { self.to.clone() };
        match &self.data_dir {
            Some(data_dir) => write_offline(data_dir, since.as_ref(), &partial).await?,
            None => {
                let remote = Remote::open(&self.connection.kubeconfig).await?;
                let path = since
                    .as_ref()
                    .map_or_else(|| "/backup".to_owned(), |since| format!("/backup?since={}", since.revision));
                download(&remote, "backing up", &path, &partial).await?;
            }
        }
        let (header, end) = verify(&partial)?;
        if let Some(since) = since.filter(|since| since.store != header.store) {
            drop(std::fs::remove_file(&partial));
            return Err(Failure::new(format!(
                "the earlier backup is of another server ({}); leave it out",
                since.store
            )));
        }
        if let (Some(base), true) = (base, header.since == Some(header.revision)) {
            return unchanged(&base, &partial, &self.to, header.revision);
        }
        let file = if self.to.is_dir() { self.to.join(format!("{:020}.{ENDING}", header.revision)) } else { self.to };
        if file != partial {
            std::fs::rename(&partial, &file)
                .map_err(|error| Failure::because(format!("cannot write {}", file.display()), error))?;
        }
        let builds = header.since.map(|since| format!(", builds on revision {since}")).unwrap_or_default();
        let megabytes = end.bytes as f64 / 1e6;
        println!("{}: revision {}, {} values, {megabytes:.1} MB{builds}", file.display(), header.revision, end.records);
        Ok(())
    }
}

/// What is to be done where nothing has changed since the earlier backup: that one says it all, and must stay.
fn unchanged(base: &Path, partial: &Path, to: &Path, revision: u64) -> Result<(), Failure> {
    let failed = |error| Failure::because(format!("cannot write {}", partial.display()), error);
    match to.is_dir() {
        true => std::fs::remove_file(partial).map_err(failed)?,
        false => drop(std::fs::copy(base, partial).map_err(failed)?),
    }
    println!("{}: nothing has changed since revision {revision}", base.display());
    Ok(())
}

/// Writes a backup of the files of a server that does not run.
async fn write_offline(data_dir: &Path, since: Option<&Header>, to: &Path) -> Result<(), Failure> {
    let store = data_dir.join("store");
    if !store.is_dir() {
        return Err(Failure::new(format!("{} holds no data of a server", data_dir.display())));
    }
    let unreadable = |error: storage::OpenError| {
        Failure::because(
            format!("cannot read {}; if a server runs there, back it up without --data-dir", store.display()),
            error,
        )
    };
    let backend = storage::open(&store.display().to_string(), storage::Options::default()).await.map_err(unreadable)?;
    let records = Arc::new(Mutex::new(Vec::<Record>::new()));
    let into = records.clone();
    let loaded = backend.load(Box::new(move |record| into.lock().push(record))).await;
    backend.close().await;
    let revision = loaded.map_err(|error| Failure::because(format!("cannot read {}", store.display()), error))?;
    let records = std::mem::take(&mut *records.lock());
    let mut notes = BTreeMap::new();
    for name in KEPT_FILES {
        if let Ok(text) = std::fs::read_to_string(data_dir.join(name)) {
            notes.insert(name.to_owned(), text);
        }
    }
    let header = Header {
        of: Subject::Store,
        store: identity(&records),
        revision,
        since: since.map(|since| since.revision),
        taken: format_time(Timestamp::now()),
        notes,
        ..Header::default()
    };
    let failed = |error| Failure::because(format!("cannot write {}", to.display()), error);
    let file = create(to).map_err(failed)?;
    let mut out = BufWriter::new(file);
    let (mut archiver, head) = Archiver::begin(header);
    out.write_all(&head).map_err(failed)?;
    let since = since.map_or(0, |since| since.revision);
    for record in &records {
        let bytes = &record.value[..];
        let value = if record.revision > since { Kept::Here(bytes) } else { Kept::Before(bytes) };
        if let Some(piece) = archiver.add(&record.key.encode(), record.revision, value) {
            out.write_all(&piece).map_err(failed)?;
        }
    }
    out.write_all(&archiver.finish().0).map_err(failed)?;
    out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)
}

/// The uid of a store, which is that of its system cluster.
fn identity(records: &[Record]) -> String {
    let is_it = |record: &&Record| &*record.key.resource.resource == "logicalclusters" && record.key.cluster.is_root();
    let found =
        records.iter().find(is_it).and_then(|record| serde_json::from_slice::<atoll_api::Object>(&record.value).ok());
    found.map(|object| object.uid().to_owned()).unwrap_or_default()
}

impl Restore {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let file = match self.from.is_dir() {
            true => last_in(&self.from)?
                .ok_or_else(|| Failure::new(format!("{} holds no backup (*.{ENDING})", self.from.display())))?,
            false => self.from.clone(),
        };
        let held = read(&file)?;
        let bytes: usize = held.values.values().map(|(_, value)| value.len()).sum();
        let what =
            format!("revision {}, {} values, {:.1} MB", held.header.revision, held.values.len(), bytes as f64 / 1e6);
        if self.verify {
            println!("{} is sound: {what}", file.display());
            return Ok(());
        }
        let url = self.storage.clone().unwrap_or_else(|| self.data_dir.join("store").display().to_string());
        let Held { header: Header { revision, notes: files, .. }, values } = held;
        restoring::write(Content { revision, values, files }, &self.data_dir, &url).await?;
        println!("restored {what}; start the server with `atoll serve --data-dir {}`", self.data_dir.display());
        Ok(())
    }
}

/// The last backup in a directory, by its name.
fn last_in(directory: &Path) -> Result<Option<PathBuf>, Failure> {
    let failed = |error| Failure::because(format!("cannot read {}", directory.display()), error);
    let mut files = Vec::new();
    for file in std::fs::read_dir(directory).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(path);
        }
    }
    Ok(files.into_iter().max())
}

/// Reads a backup with all that it builds on, and checks all of it.
fn read(file: &Path) -> Result<Held, Failure> {
    let mut headers = by_revision(file)?;
    let mut chain = vec![file.to_owned()];
    let (mut header, _) = verify(file)?;
    while let Some(since) = header.since {
        let base = headers.remove(&(header.store.clone(), since)).filter(|base| !chain.contains(base));
        let base = base.ok_or_else(|| {
            Failure::new(format!(
                "{} builds on a backup of revision {since}, which is not beside it; put it there",
                chain[chain.len() - 1].display()
            ))
        })?;
        header = verify(&base)?.0;
        chain.push(base);
    }
    let mut held: Option<Held> = None;
    while let Some(file) = chain.pop() {
        let next = add(&file, held.take());
        held = Some(next.map_err(|error| Failure::because(format!("{} cannot be used", file.display()), error))?);
    }
    held.ok_or_else(|| Failure::new("there is no backup"))
}

/// The other backups beside a file, by their stores and revisions.
fn by_revision(file: &Path) -> Result<HashMap<(String, u64), PathBuf>, Failure> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error| Failure::because(format!("cannot read {}", directory.display()), error);
    let mut found = HashMap::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.is_file() {
            continue;
        }
        // What is no archive is somebody else's.
        if let Some((header, _)) =
            File::open(&path).ok().and_then(|file| ArchiveReader::open(BufReader::new(file)).ok())
        {
            found.insert((header.store, header.revision), path);
        }
    }
    Ok(found)
}

/// What a backup holds, over what it builds on.
fn add(file: &Path, base: Option<Held>) -> Result<Held, ArchiveError> {
    let (header, mut reader) = ArchiveReader::open(BufReader::new(File::open(file)?))?;
    if header.of != Subject::Store {
        return Err(ArchiveError::Damaged("it is of one logical cluster: use `atoll cluster import`".into()));
    }
    let mut before = base.map(|base| base.values).unwrap_or_default();
    let mut values = BTreeMap::new();
    while let Some(record) = reader.next_record()? {
        let value = match record.value {
            Kept::Here(value) => value,
            Kept::Before(checksum) => match before.remove(&record.key) {
                Some((revision, value)) if revision == record.revision && checksum_of(&value) == checksum => value,
                _ => {
                    let key = String::from_utf8_lossy(&record.key).into_owned();
                    return Err(ArchiveError::Damaged(format!("what it builds on does not hold {key} as it should")));
                }
            },
        };
        values.insert(record.key, (record.revision, value));
    }
    Ok(Held { header, values })
}
