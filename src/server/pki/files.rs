//! The files under the data directory: read, and replaced as a whole, readable by the server alone.
//!
//! Knows nothing of keys or certificates.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Error;

/// The files under the data directory; without one, nothing is ever there and writes go nowhere.
pub(super) struct Files<'a> {
    root: Option<&'a Path>,
}

impl<'a> Files<'a> {
    pub(super) fn open(root: Option<&'a Path>) -> Result<Self, Error> {
        if let Some(root) = root {
            let pki = root.join("pki");
            make_private_dir(&pki).map_err(|cause| Error::File { action: "make directory", path: pki, cause })?;
        }
        Ok(Self { root })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.unwrap_or(Path::new("")).join(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<String>, Error> {
        if self.root.is_none() {
            return Ok(None);
        }
        match fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::File { action: "read", path: self.path(name), cause }),
        }
    }

    /// Writes beside the file and renames, so that a crash leaves the old file or the new one, readable by us alone.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        if self.root.is_none() {
            return Ok(());
        }
        let path = self.path(name);
        replace(&path, text).map_err(|cause| Error::File { action: "write", path, cause })
    }

    pub(super) fn write_if_changed(&self, name: &str, text: &str) -> Result<(), Error> {
        if self.read(name)?.as_deref() == Some(text) { Ok(()) } else { self.write(name, text) }
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
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
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(parent)?.sync_all()
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
