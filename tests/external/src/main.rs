//! The smallest server, by somebody else: it starts, says where it is, and stops.

use atoll::server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = Server::builder().listen(([127, 0, 0, 1], 0).into()).build().await?.start().await?;
    println!("serving at {}", running.url());
    running.stop().await;
    Ok(())
}
