//! `atoll check`: whether the files of a server that does not run are sound, and putting right what is not.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::storage::embedded::{self, Repair};

/// How the process ends when something is wrong with the files.
const DAMAGED: u8 = 2;
/// How many faults are told one by one.
const TOLD: usize = 100;
/// Where a repair puts what it takes out.
const REMOVED: &str = "removed";

/// Checks the files of a server that does not run: checksums, revisions, index, and whether every object can be read.
///
/// Ends with 0 if all is sound (or has been repaired), 2 if something is wrong, 1 if the files could not be checked.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The server's data directory.
    #[arg(long, value_name = "DIR", default_value = "./.atoll")]
    data_dir: PathBuf,
    /// Put right what can be put right. Make a copy of the directory first. What is taken out is kept in DIR/removed.
    #[arg(long)]
    repair: bool,
}

impl Check {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let store = self.data_dir.join("store");
        let directory = store.clone();
        let look = move |repair| {
            let directory = directory.clone();
            async move {
                let checked = tokio::task::spawn_blocking(move || embedded::check(&directory, repair)).await;
                checked.map_err(|died| Failure::because("the check failed", died))
            }
        };
        let unreadable = |error| {
            Failure::because(format!("{} cannot be checked; is a server running there?", store.display()), error)
        };
        let report = look(Repair::Nothing).await?.map_err(unreadable)?;
        for fault in report.faults.iter().take(TOLD) {
            println!("{fault}");
        }
        if report.faults.len() > TOLD {
            println!("… and {} more", report.faults.len() - TOLD);
        }
        let size =
            format!("revision {}, {} values, {:.1} MB", report.revision, report.values, report.bytes as f64 / 1e6);
        if report.faults.is_empty() {
            println!("{} is sound: {size}, {} changes in the log", store.display(), report.logged);
            return Ok(ExitCode::SUCCESS);
        }
        if !self.repair {
            println!("{} faults; what can be put right is by --repair, or restore a backup", report.faults.len());
            return Ok(ExitCode::from(DAMAGED));
        }
        self.keep(&report.removed)?;
        look(Repair::Everything).await?.map_err(unreadable)?;
        let after = look(Repair::Nothing).await?.map_err(unreadable)?;
        if after.faults.is_empty() {
            println!(
                "repaired: revision {}, {} values; {} were taken out",
                after.revision,
                after.values,
                report.removed.len()
            );
            return Ok(ExitCode::SUCCESS);
        }
        println!("{} faults could not be put right; restore a backup", after.faults.len());
        Ok(ExitCode::from(DAMAGED))
    }

    /// Keeps what is about to be taken out, each in a file of its own.
    fn keep(&self, removed: &[bytes::Bytes]) -> Result<(), Failure> {
        if removed.is_empty() {
            return Ok(());
        }
        let directory = self.data_dir.join(REMOVED);
        let failed = |error| Failure::because(format!("cannot write to {}", directory.display()), error);
        std::fs::create_dir_all(&directory).map_err(failed)?;
        for row in removed {
            let name = uuid::Uuid::new_v4().simple().to_string();
            std::fs::write(directory.join(name), row).map_err(failed)?;
        }
        println!("what is taken out is kept in {}", directory.display());
        Ok(())
    }
}
