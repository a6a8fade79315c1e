//! A subresource of a core type, provided from outside: `pods/log`, with all the server's rights, lookups and paths before
//! it, and whatever the plug-in streams after.
//!
//! ```sh
//! cargo run --features examples --example pod_logs
//! ```

use std::time::Duration;

use atoll::http::{Connect, Connection};
use atoll::server::{Builder, Server};
use atoll_api::{ApiError, ApiResult};
use axum::body::Body;
use futures::future::BoxFuture;
use futures::stream;
use http::{Response, header};

/// Has something to say for every container, and goes on as long as somebody follows.
///
/// A real one would ask the machine on which the pod runs; `connection.upgrade` lets one that answers with 101 take over
/// the connection, as `exec` does.
struct Chatter;

impl Connect for Chatter {
    fn connect<'a>(&'a self, connection: Connection<'a>) -> BoxFuture<'a, ApiResult<Response<Body>>> {
        Box::pin(async move {
            let container = container(&connection)?;
            let follows = connection.query.first("follow") == Some("true");
            let lines = connection.query.first("tailLines").and_then(|lines| lines.parse().ok()).unwrap_or(3);
            let name = connection.object.name().to_owned();
            let line = move |number: u64| format!("{name}/{container}: line {number}\n");
            let said = stream::unfold(1, move |number| {
                let text = line(number);
                async move {
                    if number > lines && !follows {
                        return None;
                    }
                    if number > lines {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Some((Ok::<_, std::io::Error>(text), number + 1))
                }
            });
            let mut answer = Response::new(Body::from_stream(said));
            answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
            Ok(answer)
        })
    }
}

/// The container that is asked for, or the only one there is.
fn container(connection: &Connection<'_>) -> ApiResult<String> {
    let pod = &connection.object;
    let containers = pod.at(&["spec", "containers"]).and_then(|list| list.as_array()).cloned().unwrap_or_default();
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    match (connection.query.first("container").filter(|name| !name.is_empty()), names.as_slice()) {
        (Some(wanted), names) if names.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => {
            Err(ApiError::bad_request(format!("container {wanted} is not valid for pod {}", pod.name())))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(ApiError::bad_request(format!("a container name must be specified for pod {}", pod.name()))),
    }
}

/// A server whose pods have logs.
fn talkative() -> Builder {
    Server::builder().resources(["all"]).connect("pods", "log", Chatter)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = talkative().data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into()).build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig logs -f my-pod ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/pod_logs.rs"]
mod tests;
