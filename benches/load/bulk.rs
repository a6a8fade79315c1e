//! A server that is started on very many objects: how long until it is ready, and what they weigh.
//!
//! They are not sent one after the other: the store is written anew with them, in the format that the server keeps, while it does not
//! run. That works with Atoll over its embedded engine alone.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use atoll::storage::{self, Record};
use bytes::Bytes;
use serde_json::json;

use super::Failure;
use super::client::Target;
use super::process::Server;
use super::report::{Better, Report};
use super::tenants::{Kind, items};

/// The name of the object of which the others are copies.
const SAMPLE: &str = "sample";

/// Fills the store of a server with so many objects of 1 KiB, and tells how it starts.
pub(super) async fn measure(
    count: usize,
    target: &Target,
    server: &mut Server,
    report: &mut Report,
) -> Result<(), Failure> {
    let store = server.directory().join("data/store");
    if !store.is_dir() {
        return Err("the part `bulk` needs Atoll over its embedded engine".into());
    }
    let admin = target.connect(1).await?;
    let path = Kind::of(&admin).await?.create_for_bench(&admin, "bulk").await?;
    let sample = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SAMPLE, "labels": {"app": "load", "part": "other"}},
        "data": {"state": "created", "payload": "x".repeat(800)},
    });
    admin.expect("POST", &path, "application/json", sample.to_string()).await?;
    let had = items(&admin, &path).await?;
    drop(admin);
    server.stop()?;
    let began = Instant::now();
    let bytes = fill(&store, count).await?;
    let took = began.elapsed().as_secs_f64();
    eprintln!("{count} objects of {bytes} bytes written in {took:.1} s");
    let ready = server.start_again().await?;
    let what = format!("start with {count} objects of 1 KiB");
    report.add(&what, "s", Better::Less, ready.as_secs_f64());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let resident = server.resident_mib();
    report.add("  resident memory after it", "MiB", Better::Less, resident);
    report.add("  resident memory after it, each", "KiB", Better::Less, resident * 1024.0 / count.max(1) as f64);
    report.add("  an object as it is stored", "KiB", Better::Less, bytes as f64 / 1024.0);
    let now = items(&target.connect(1).await?, &path).await?;
    if now != had + count {
        return Err(format!("{now} objects are there instead of {}", had + count).into());
    }
    Ok(())
}

/// Writes a store anew with so many copies of the sample; gives the size of one.
async fn fill(store: &Path, count: usize) -> Result<usize, Failure> {
    let records: Arc<Mutex<Vec<Record>>> = Arc::default();
    let into = records.clone();
    let backend = storage::open(&store.display().to_string(), storage::Options::default()).await?;
    let visit = move |record| into.lock().expect("nobody panics with it").push(record);
    let revision = backend.load(Box::new(visit)).await?;
    backend.close().await;
    drop(backend);
    let records = std::mem::take(&mut *records.lock().expect("nobody panics with it"));
    let sample = records.iter().find(|record| &*record.key.name == SAMPLE).ok_or("the sample was not stored")?;
    let (key, text) = (sample.key.clone(), String::from_utf8(sample.value.to_vec())?);
    let object: serde_json::Value = serde_json::from_str(&text)?;
    let uid = object["metadata"]["uid"].as_str().ok_or("the sample has no uid")?.to_owned();
    let size = text.len();
    let copies = (0..count).map(move |number| {
        let name = format!("bulk-{number:07}");
        let value = text.replace(&uid, &format!("{number:08x}-0000-4000-8000-000000000000"));
        let value = value.replacen(&format!("\"{SAMPLE}\""), &format!("\"{name}\""), 1);
        let mut key = key.clone();
        key.name = name.into();
        (key.encode(), revision + 1 + number as u64, Bytes::from(value))
    });
    let had = records.into_iter().map(|record| (record.key.encode(), record.revision, record.value));
    let place = store.to_owned();
    let written = tokio::task::spawn_blocking(move || -> Result<(), Failure> {
        std::fs::remove_dir_all(&place)?;
        storage::embedded::restore(&place, revision + 1 + count as u64, had.chain(copies))?;
        Ok(())
    });
    written.await??;
    Ok(size)
}
