//! HTTP middleware in front of the API, and a route beside it.
//!
//! A tower layer sees every request before anybody is recognised, and every answer; any crate's layers will do. Routes
//! are an axum `Router`: they are found before the API, and whoever reaches the server may ask them.
//!
//! ```sh
//! cargo run --features examples --example middleware
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use atoll::http::HttpService;
use atoll::server::{Builder, Server};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderValue, Request, Response};
use tower::ServiceExt;

/// Counts what comes by.
type Counter = Arc<AtomicU64>;

/// A server that counts its requests, says in each answer who answered, and tells the count at `/count`.
fn counting(counter: &Counter) -> Builder {
    let (shown, counted) = (counter.clone(), counter.clone());
    let count = get(move || async move { shown.load(Ordering::Relaxed).to_string() });
    Server::builder().routes(Router::new().route("/count", count)).layer(tower::layer::layer_fn(
        move |inner: HttpService| {
            let counted = counted.clone();
            inner
                .map_request(move |request: Request<Body>| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    request
                })
                .map_response(|mut answer: Response<Body>| {
                    answer.headers_mut().insert("served-by", HeaderValue::from_static("atoll"));
                    answer
                })
        },
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = counting(&Counter::default()).data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into());
    let running = builder.build().await?.start().await?;
    println!("try: curl -k {}/count", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use atoll::test::ControlPlane;
    use http_body_util::BodyExt;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;

    use super::*;

    #[tokio::test]
    async fn every_request_comes_by_the_layer_and_routes_stand_beside_the_api() {
        let counter = Counter::default();
        let plane = ControlPlane::start_with(counting(&counter)).await.expect("a control plane");
        let config_maps: Api<ConfigMap> = Api::all(plane.root().client());
        for _ in 0..3 {
            config_maps.list(&Default::default()).await.expect("a list");
        }
        let asked = Request::get("/count").body(Body::empty()).expect("a request");
        let answer = plane.server().service().oneshot(asked).await.expect("an answer");
        assert_eq!(answer.headers()["served-by"], "atoll");
        let count = answer.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(count, "4", "three lists, and the question itself");

        let asked = Request::get("/version").body(Body::empty()).expect("a request");
        let answer = plane.server().service().oneshot(asked).await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["served-by"]),
            (200, &HeaderValue::from_static("atoll"))
        );
        plane.stop().await;
    }
}
