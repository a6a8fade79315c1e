//! How a restore writes: a server's data are there when all of them are, and not before, wherever it is cut off.
//!
//! What it has begun it marks, with a file in the data directory and, where the store is filled step by step, in the store. No server
//! starts on what is marked; another restore begins anew there. Reading backups is `backup.rs`'s.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::Failure;
use crate::server::pki::{KEPT_FILES, RESTORING};
use crate::storage::restoring::{self, Filling};
use crate::storage::{self, Backend, Key};

/// How far revisions jump in a restored store: beyond all that clients may have seen since the backup was taken.
const JUMP: u64 = 1_000_000_000;

/// What is restored.
pub(super) struct Content {
    /// The revision of the backup.
    pub(super) revision: u64,
    /// The values by their encoded keys, with the revisions that put them.
    pub(super) values: BTreeMap<Vec<u8>, (u64, Bytes)>,
    /// The texts of files, by their names.
    pub(super) files: BTreeMap<String, String>,
}

/// Where it is restored to.
struct Place<'a> {
    data_dir: &'a Path,
    url: &'a str,
}

impl From<restoring::Error> for Failure {
    fn from(error: restoring::Error) -> Self {
        Self::because("the store did not take it; run `atoll restore` again", error)
    }
}

/// Makes the data of a server: files in a data directory, and a store.
pub(super) async fn write(content: Content, data_dir: &Path, url: &str) -> Result<(), Failure> {
    let place = Place { data_dir, url };
    let again = place.begun_before()?;
    let url = url.strip_prefix("file://").unwrap_or(url);
    if !url.contains("://") {
        return place.write_embedded(content, PathBuf::from(url), again).await;
    }
    let backend = storage::open(url, storage::Options::default()).await;
    let backend = backend.map_err(|error| Failure::because("the store cannot be reached", error))?;
    let done = place.write_in_steps(content, &*backend).await;
    backend.close().await;
    done
}

// === impl Place ===

impl Place<'_> {
    /// Whether a restore to here was begun before; refused if there is a server, or half of one elsewhere.
    fn begun_before(&self) -> Result<bool, Failure> {
        let shown = self.data_dir.display();
        match std::fs::read_to_string(self.data_dir.join(RESTORING)) {
            Ok(url) if url == self.url => Ok(true),
            Ok(url) => Err(Failure::new(format!(
                "a restore into {shown} with --storage {url} was cut off; run it again with the same --storage, or name another \
                 --data-dir"
            ))),
            Err(_) if KEPT_FILES.iter().any(|name| self.data_dir.join(name).exists()) => {
                Err(Failure::new(format!("{shown} belongs to a server already; name another --data-dir")))
            }
            Err(_) => Ok(false),
        }
    }

    fn is_taken(&self) -> Failure {
        let url = self.url;
        Failure::new(format!("{url} is there already; restore into another place, or move it away"))
    }

    /// The embedded engine's files are made beside their place and put there as a whole.
    async fn write_embedded(&self, content: Content, path: PathBuf, again: bool) -> Result<(), Failure> {
        let failed = |error| Failure::because(format!("cannot write {}", path.display()), error);
        match path.exists() {
            // Put there by the attempt that was cut off: nothing was when it began, and no server has started since.
            true if again => std::fs::remove_dir_all(&path).map_err(failed)?,
            true => return Err(self.is_taken()),
            false => {}
        }
        self.mark()?;
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        self.write_files(&content.files)?;
        let values = content.values.into_iter().map(|(key, (revision, value))| (key, revision, value));
        let revision = content.revision + JUMP;
        let restored = tokio::task::spawn_blocking(move || storage::embedded::restore(&path, revision, values)).await;
        let restored = restored.map_err(|died| Failure::because("restoring failed", died))?;
        restored.map_err(|error| Failure::because("the store could not be written", error))?;
        self.unmark()
    }

    /// Other stores are filled in steps, and are nobody's until the last.
    async fn write_in_steps(&self, content: Content, backend: &dyn Backend) -> Result<(), Failure> {
        let filling = Filling::begin(backend).await.map_err(|error| match error {
            restoring::Error::NotEmpty => self.is_taken(),
            other => other.into(),
        })?;
        self.mark()?;
        let mut values = Vec::with_capacity(content.values.len());
        for (key, (_, value)) in content.values {
            let key = Key::decode(&key).map_err(|error| Failure::because("the backup holds what is no key", error))?;
            values.push((key, value));
        }
        // The server that comes finds its keys.
        filling.put_all(values, || self.write_files(&content.files)).await?;
        self.unmark()
    }

    fn write_files(&self, files: &BTreeMap<String, String>) -> Result<(), Failure> {
        for (name, text) in files.iter().filter(|(name, _)| KEPT_FILES.contains(&name.as_str())) {
            self.write_file(name, text)?;
        }
        Ok(())
    }

    fn mark(&self) -> Result<(), Failure> {
        self.write_file(RESTORING, self.url)
    }

    fn unmark(&self) -> Result<(), Failure> {
        let path = self.data_dir.join(RESTORING);
        let removed = std::fs::remove_file(&path).and_then(|()| flush_directory(self.data_dir));
        removed.map_err(|error| Failure::because(format!("cannot remove {}", path.display()), error))
    }

    fn write_file(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.data_dir.join(name);
        let directory = path.parent().unwrap_or(self.data_dir);
        let written = std::fs::create_dir_all(directory).and_then(|()| create(&path)).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            flush_directory(directory)
        });
        written.map_err(|error| Failure::because(format!("cannot write {}", path.display()), error))
    }
}

/// A file that only its owner can read.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    let mut how = File::options();
    how.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    how.open(path)
}

/// Makes what was put into a directory, or taken out of it, last.
fn flush_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}
