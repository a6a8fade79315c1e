//! The contract suite, on the engines of this crate.

mod memory {
    use crate::storage::Memory;
    use crate::storage::conformance::{self, Subject};

    async fn open() -> Subject {
        Subject { backend: Memory::new(), keep: Box::new(()) }
    }

    conformance::all!(open);
}

mod embedded {
    use crate::storage::conformance::{self, Subject};
    use crate::storage::{Embedded, Options};

    /// Durable as far as the engine is concerned, on a disk that needs no time; with so small a log that what is read is
    /// now in the log, now in the tables.
    async fn open() -> Subject {
        let disk = || Box::new(redb::backends::InMemoryBackend::new());
        let options = Options { log_bytes: 2000, ..Options::default() };
        let backend = Embedded::open_on(*disk(), [disk(), disk()], options).unwrap();
        Subject { backend, keep: Box::new(()) }
    }

    conformance::all!(open);
}

mod embedded_relaxed {
    use crate::storage::conformance::{self, Subject};
    use crate::storage::{Durability, Embedded, Options};

    async fn open() -> Subject {
        let directory = tempfile::tempdir().unwrap();
        let backend =
            Embedded::open(directory.path(), Options { durability: Durability::Relaxed, ..Options::default() })
                .unwrap();
        Subject { backend, keep: Box::new(directory) }
    }

    conformance::all!(open);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use crate::storage::conformance::{self, Subject};
    use crate::storage::{Options, Sqlite};

    async fn open() -> Subject {
        let directory = tempfile::tempdir().unwrap();
        let backend = Sqlite::open(&directory.path().join("atoll.db"), Options::default()).unwrap();
        Subject { backend, keep: Box::new(directory) }
    }

    conformance::all!(open);
}
