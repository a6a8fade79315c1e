//! Whether the server behind an API service is there: it must answer for its group and version.

use std::time::Duration;

use atoll_api::LogicalClusterName;
use tokio::time::timeout;

use super::super::Api;
use super::api_services;
use super::backend::Backend;
use super::fetched::aggregators;
use crate::storage::Key;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried: one of a service's endpoints may be there while another one is not.
const ATTEMPTS: usize = 3;

/// Asks the server behind an API service of a cluster for its group and version; or tells why there is no good answer.
pub(crate) async fn probe(api: &Api, cluster: &LogicalClusterName, api_service: &str) -> Result<(), String> {
    let key = Key::new(api_services(), cluster.clone(), "", api_service);
    let entry = api.registry.store().get(&key);
    let backend = entry.and_then(|entry| Backend::of(&entry)).ok_or("the API service is gone")?;
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        last = attempt(api, &backend).await;
        if last.is_ok() {
            break;
        }
    }
    last
}

async fn attempt(api: &Api, backend: &Backend) -> Result<(), String> {
    let url = format!("https://{}{}", backend.authority(), backend.root());
    let request = aggregators(backend, &backend.root())?;
    let answered = timeout(PATIENCE, backend.send(api, request)).await;
    let failed = |why: &str| format!("failing or missing response from {url}: {why}");
    match answered {
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) => Err(failed(&format!("bad status from {url}: {}", response.status().as_u16()))),
        Ok(Err(why)) => Err(failed(&format!("Get \"{url}\": {why}"))),
        Err(_) => Err(failed(&format!("Get \"{url}\": context deadline exceeded"))),
    }
}
