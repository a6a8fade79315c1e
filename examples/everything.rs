//! Everything kube-apiserver serves, or everything but some of it: which resources there are is a list of names.
//!
//! What is left out is not in discovery, and its paths are answered as paths that do not exist.
//!
//! ```sh
//! cargo run --features examples --example everything            # everything but pods
//! cargo run --features examples --example everything -- pods    # everything
//! ```

use atoll::server::{Builder, Server};

/// All that kube-apiserver 1.36 serves by default.
fn everything() -> Builder {
    Server::builder().single_cluster().resources(["all"])
}

/// A name with a minus leaves out again what names before it asked for.
fn everything_but_pods() -> Builder {
    Server::builder().single_cluster().resources(["all", "-pods"])
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pods = std::env::args().nth(1).is_some_and(|which| which == "pods");
    let builder = if pods { everything() } else { everything_but_pods() };
    let builder = builder.data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into());
    let running = builder.build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig api-resources ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use atoll::test::ControlPlane;

    use super::*;

    async fn core_resources(builder: Builder) -> Vec<String> {
        let plane = ControlPlane::start_with(builder).await.expect("a control plane");
        let core = plane.root().client().list_core_api_resources("v1").await.expect("discovery");
        plane.stop().await;
        core.resources.into_iter().map(|resource| resource.name).filter(|name| !name.contains('/')).collect()
    }

    #[tokio::test]
    async fn what_is_left_out_is_not_there() {
        let mut all = core_resources(everything()).await;
        let fewer = core_resources(everything_but_pods()).await;
        assert!(all.iter().any(|name| name == "pods"));
        all.retain(|name| name != "pods");
        assert_eq!(fewer, all);
    }
}
