//! The files under the data directory: read, and replaced as a whole, readable by the server alone.
//!
//! Knows nothing of keys or certificates.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use super::Error;

/// The files under the data directory; without one, nothing is ever there and writes go nowhere.
pub(super) struct Files<'a> {
    root: Option<&'a Path>,
    /// What was written and is not in its place yet, in order.
    waiting: RefCell<Vec<Waiting>>,
}

/// A file that is written beside the one it is to replace.
struct Waiting {
    path: PathBuf,
    temporary: PathBuf,
    text: String,
    file: File,
}

impl<'a> Files<'a> {
    pub(super) fn open(root: Option<&'a Path>) -> Result<Self, Error> {
        if let Some(root) = root {
            let pki = root.join("pki");
            make_private_dir(&pki).map_err(|cause| Error::File { action: "make directory", path: pki, cause })?;
        }
        Ok(Self { root, waiting: RefCell::default() })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.unwrap_or(Path::new("")).join(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<String>, Error> {
        if self.root.is_none() {
            return Ok(None);
        }
        let path = self.path(name);
        if let Some(waiting) = self.waiting.borrow().iter().find(|waiting| waiting.path == path) {
            return Ok(Some(waiting.text.clone()));
        }
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::File { action: "read", path: self.path(name), cause }),
        }
    }

    /// Writes beside the file, readable by us alone; [`Self::settle`] puts it in its place.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        if self.root.is_none() {
            return Ok(());
        }
        let path = self.path(name);
        // What waits for the same place is superseded, and its temporary file with it.
        self.waiting.borrow_mut().retain(|waiting| waiting.path != path);
        let waiting = Waiting::write(&path, text).map_err(|cause| Error::File { action: "write", path, cause })?;
        self.waiting.borrow_mut().push(waiting);
        Ok(())
    }

    /// Puts all that was written in its place, in the order in which it was, once it survives a power loss: a crash leaves
    /// each old file or the new one.
    pub(super) fn settle(&self) -> Result<(), Error> {
        let waiting = self.waiting.borrow();
        // Side by side, since most of what a disk does for one it does for all.
        let synced: Vec<io::Result<()>> = thread::scope(|scope| {
            let syncing: Vec<_> = waiting.iter().map(|file| scope.spawn(|| file.file.sync_all())).collect();
            let died = || io::Error::other("the thread that flushes it died");
            syncing.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(died()))).collect()
        });
        let fail = |path: &Path, cause| Error::File { action: "write", path: path.to_owned(), cause };
        for (file, synced) in waiting.iter().zip(synced) {
            synced.and_then(|()| fs::rename(&file.temporary, &file.path)).map_err(|cause| fail(&file.path, cause))?;
        }
        let directories: BTreeSet<&Path> = waiting.iter().filter_map(|file| file.path.parent()).collect();
        for directory in directories {
            let synced = File::open(directory).and_then(|directory| directory.sync_all());
            synced.map_err(|cause| fail(directory, cause))?;
        }
        drop(waiting);
        self.waiting.borrow_mut().clear();
        Ok(())
    }

    pub(super) fn write_if_changed(&self, name: &str, text: &str) -> Result<(), Error> {
        if self.read(name)?.as_deref() == Some(text) { Ok(()) } else { self.write(name, text) }
    }
}

// === impl Waiting ===

impl Waiting {
    fn write(path: &Path, text: &str) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parent = path.parent().unwrap_or(Path::new("."));
        let temporary = parent.join(format!(".{name}.{}.tmp", std::process::id()));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // What a crash left behind is not written through: its mode may be wrong.
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        Ok(Self { path: path.to_owned(), temporary, text: text.to_owned(), file })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Where it was put in its place it is not there any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
