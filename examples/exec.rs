//! A subresource that becomes another protocol: `pods/exec`, provided from outside, as `kubectl exec` speaks it.
//!
//! The server has recognised the client, checked its rights and found the pod; the plug-in has the connection from then
//! on. What runs here is a toy shell; a real plug-in would pass the streams on to a machine.
//!
//! ```sh
//! cargo run --features examples --example exec
//! ```

use atoll::http::{Connect, Connection};
use atoll::server::{Builder, Server};
use atoll_api::ApiResult;
use axum::body::Body;
use futures::future::BoxFuture;
use futures::{SinkExt, StreamExt};
use http::Response;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Result as Told;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, frame::coding::CloseCode};

/// Several streams over one WebSocket: the first byte of a message says which.
const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// Knows `echo`, `cat` and `false`.
struct Shell;

impl Connect for Shell {
    fn connect<'a>(&'a self, mut connection: Connection<'a>) -> BoxFuture<'a, ApiResult<Response<Body>>> {
        Box::pin(async move {
            let accepted = connection.web_socket(&[PROTOCOL])?;
            let command: Vec<String> = connection.query.all("command").map(str::to_owned).collect();
            tokio::spawn(async move {
                let Ok(stream) = accepted.connection.await else { return };
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
                // A client that goes away takes its streams with it; nobody is left to be told.
                let _ = run(socket, &command).await;
            });
            Ok(accepted.answer)
        })
    }
}

/// Runs a command over the streams, and tells how it ended.
async fn run(mut socket: WebSocketStream<TokioIo<Upgraded>>, command: &[String]) -> Told<()> {
    let on = |channel: u8, text: &[u8]| Message::binary([&[channel], text].concat());
    let code = match command.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["echo", words @ ..] => {
            socket.send(on(STDOUT, format!("{}\n", words.join(" ")).as_bytes())).await.map(|()| 0)?
        }
        ["cat"] => {
            while let Some(Message::Binary(frame)) = socket.next().await.transpose()? {
                match frame.split_first() {
                    Some((&STDIN, typed)) => socket.send(on(STDOUT, typed)).await?,
                    // There is no more input.
                    Some((&255, &[STDIN])) => break,
                    _ => {}
                }
            }
            0
        }
        ["false"] => 1,
        other => socket.send(on(STDERR, format!("{other:?}: not found\n").as_bytes())).await.map(|()| 127)?,
    };
    socket.send(on(STATUS, ended(code).to_string().as_bytes())).await?;
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await
}

/// How clients learn the code a command ended with.
fn ended(code: u8) -> Value {
    let causes = json!([{"reason": "ExitCode", "message": code.to_string()}]);
    match code {
        0 => json!({"status": "Success"}),
        _ => json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}),
    }
}

fn with_shell() -> Builder {
    Server::builder().resources(["all"]).connect("pods", "exec", Shell)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running =
        with_shell().data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into()).build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig exec -i my-pod -- cat");
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/exec.rs"]
mod tests;
