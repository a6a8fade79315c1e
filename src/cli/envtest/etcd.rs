//! The stand-in for `etcd`: says that it is healthy, and stores nothing, since the server beside it needs no store.

use std::convert::Infallible;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};

use super::super::Failure;
use super::flags::{Asked, Flag, heeded, passed_over, read};
use super::{flags, told_to_stop};

const NOTHING_STORED: &str = "nothing is stored here";

const FLAGS: &[Flag] = &[
    heeded("listen-client-urls", "where to say that all is well"),
    passed_over("advertise-client-urls", NOTHING_STORED),
    passed_over("listen-peer-urls", NOTHING_STORED),
    passed_over("data-dir", NOTHING_STORED),
    passed_over("unsafe-no-fsync", NOTHING_STORED),
];

/// Answers until it is told to stop.
pub(super) async fn run(arguments: &[String]) -> Result<(), Failure> {
    let given = match read(FLAGS, arguments)? {
        Asked::Help => {
            print!("{}", flags::help(FLAGS));
            return Ok(());
        }
        Asked::Version => {
            println!("etcd Version: 3.6.0");
            return Ok(());
        }
        Asked::Run(given) => given,
    };
    for url in given.list("listen-client-urls") {
        let listener = listen(url).await?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream));
            }
        });
    }
    told_to_stop().await
}

async fn listen(url: &str) -> Result<TcpListener, Failure> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let cannot = |error| Failure::because(format!("cannot listen at {url}"), error);
    TcpListener::bind(address).await.map_err(cannot)
}

async fn connection(stream: TcpStream) {
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
        Ok::<_, Infallible>(answer(request.uri().path()))
    });
    // A client that goes away in the middle of a request is no concern of ours.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn answer(path: &str) -> Response<Body> {
    let (status, body) = match path {
        "/health" => (StatusCode::OK, r#"{"health":"true","reason":""}"#),
        "/version" => (StatusCode::OK, r#"{"etcdserver":"3.6.0","etcdcluster":"3.6.0"}"#),
        _ => (StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
