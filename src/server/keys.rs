//! When a server's keys and certificates are made: before it serves, or, where nobody is shown any, when first asked for.
//!
//! A server in a test's own process has no listener and no files; most such servers sign nothing before they end.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use super::pki::{self, Options, Pki};

/// A server's keys and certificates.
#[derive(Clone)]
pub(super) struct Keys {
    pki: Arc<Made>,
    made: When,
}

/// When they are made.
#[derive(Debug, Clone, Copy)]
enum When {
    Before,
    WhenAsked,
}

type Made = LazyLock<Pki, Box<dyn FnOnce() -> Pki + Send>>;

impl Keys {
    /// Those that there are.
    pub(super) fn at_hand(pki: Pki) -> Self {
        Self { pki: Arc::new(LazyLock::new(Box::new(|| pki))), made: When::Before }
    }

    /// Made in memory when they are first asked for. Somebody begins to make them at once on another thread, since the first
    /// keys of a process wait for random numbers.
    pub(super) fn in_memory(options: Options) -> Result<Self, pki::Error> {
        debug_assert!(options.data_dir.is_none() && options.shared.is_none(), "there would be files to read");
        options.check_names()?;
        let make = move || {
            Pki::ensure(&options, Timestamp::now()).expect("names were checked, and nothing is read or written")
        };
        let keys = Self { pki: Arc::new(LazyLock::new(Box::new(make))), made: When::WhenAsked };
        let begun = keys.clone();
        tokio::task::spawn_blocking(move || begun.get().renew_at);
        Ok(keys)
    }

    /// The keys and certificates, made now unless they were before.
    pub(super) fn get(&self) -> &Pki {
        &self.pki
    }

    /// Those that were there when the server was made.
    pub(super) fn found(&self) -> Option<&Pki> {
        match self.made {
            When::Before => Some(self.get()),
            When::WhenAsked => None,
        }
    }

    /// The keys and certificates, for those who must not hold up a thread.
    pub(super) async fn ready(&self) -> &Pki {
        let keys = self.clone();
        // Should it panic, so does the next line, and tells.
        let _ = tokio::task::spawn_blocking(move || keys.get().renew_at).await;
        self.get()
    }
}
