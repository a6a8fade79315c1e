//! A tenant at a steady, modest rate, alone and beside another tenant that does all it can.

use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use super::load::{Load, Verb};
use super::report::{Better, Report};

/// What the victim does: so many reads and so many writes a second.
const RATE: usize = 25;
/// How many clients the neighbour has.
const ATTACKERS: usize = 64;

/// Reports the victim's latencies without and with the neighbour.
pub(super) async fn measure(
    victim: &Load,
    neighbour: Arc<Load>,
    lasts: Duration,
    report: &mut Report,
) -> Result<(), Failure> {
    victim.fill(100).await?;
    for (what, attacked) in [("alone", false), ("beside a noisy neighbour", true)] {
        let attack = attacked.then(|| {
            let neighbour = neighbour.clone();
            tokio::spawn(async move {
                let writes = neighbour.run(Verb::Create, ATTACKERS / 2, lasts + Duration::from_secs(1));
                let reads = lists(&neighbour, ATTACKERS / 2, lasts + Duration::from_secs(1));
                tokio::join!(writes, reads)
            })
        });
        if attacked {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let (reads, writes) =
            tokio::try_join!(victim.at_rate(Verb::Get, RATE, lasts), victim.at_rate(Verb::Update, RATE, lasts))?;
        for (verb, phase) in [("GET", reads), ("PUT", writes)] {
            report.add(&format!("a tenant's {verb}, {what}, p50"), "ms", Better::Less, phase.quantile_ms(0.5));
            report.add(&format!("a tenant's {verb}, {what}, p99"), "ms", Better::Less, phase.quantile_ms(0.99));
            let lost = phase.refused as f64;
            report.add(&format!("a tenant's {verb}, {what}, refused"), "of all", Better::Less, lost);
        }
        if let Some(attack) = attack {
            let (writes, reads) = attack.await?;
            writes?;
            reads?;
        }
    }
    Ok(())
}

/// Clients that list all they can see, again and again.
async fn lists(load: &Load, clients: usize, lasts: Duration) -> Result<(), Failure> {
    let until = tokio::time::Instant::now() + lasts;
    let client = || async {
        while tokio::time::Instant::now() < until {
            // Whether it is refused is the server's business.
            load.client.send("GET", &format!("{}?limit=500", load.path), "", bytes::Bytes::new()).await?;
        }
        Ok::<_, Failure>(())
    };
    futures::future::try_join_all((0..clients).map(|_| client())).await.map(drop)
}
