//! `atoll demo`: the main job as one story, with servers that stay for a look around.
//!
//! Keeps objects in memory only, so that it can be told again and again; what it shows, it asks the servers for.

mod objects;
mod physical;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::client::Remote;
use super::serve::{self, LogFormat};
use super::{Failure, progress};
use crate::server::{Running, Server};
use physical::Physical;

/// How long anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the physical cluster may take to run the workload before the story goes on without.
const STATUS_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
const WORKSPACES: &str = "/apis/tenancy.kcp.io/v1alpha1/workspaces";
const TARGETS: &str = "/apis/workload.atoll.dev/v1alpha1/synctargets";

/// Shows what Atoll does, in a minute: starts it, and leaves it running until Ctrl-C.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where certificates and kubeconfigs are kept; objects are kept in memory.
    #[arg(long, value_name = "DIR", default_value = "./.atoll-demo")]
    data_dir: PathBuf,
    /// The address to serve HTTPS at; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Kubeconfig of a physical cluster to run the workload on; without one, a stand-in that runs no containers.
    #[arg(long, value_name = "KUBECONFIG")]
    physical: Option<PathBuf>,
    /// Stop when the story is told.
    #[arg(long)]
    no_wait: bool,
    /// How much is logged: error, warn, info, debug, trace, or per module (see RUST_LOG).
    #[arg(long, value_name = "FILTER", env = "ATOLL_LOG", default_value = "error")]
    log: String,
}

/// The server of the story and how it is spoken to.
struct Story {
    data_dir: PathBuf,
    running: Running,
    kubeconfig: String,
    remote: Remote,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        serve::start_log(&self.log, LogFormat::Text)?;
        let began = Instant::now();
        let story = step("Start Atoll", Story::begin(&self.data_dir, self.listen)).await?;
        note(&format!("one process, serving {}", story.running.url()));
        let told = self.tell(&story).await;
        match &told {
            Ok(physical) if !self.no_wait => {
                println!("\nThat took {:.1} s. Look around; everything keeps running until Ctrl-C:", seconds(began));
                story.show_ways_in(physical)?;
                wait_for_interrupt().await?;
            }
            Ok(_) => println!("\nThat took {:.1} s.", seconds(began)),
            Err(_) => {}
        }
        if let Ok(physical) = told {
            physical.stop().await;
            story.running.stop().await;
            return Ok(());
        }
        story.running.stop().await;
        told.map(drop)
    }

    async fn tell(&self, story: &Story) -> Result<Physical, Failure> {
        story.tenants().await?;
        story.incompatible_apis().await?;
        let physical = match &self.physical {
            Some(path) => Physical::real(path).await?,
            None => {
                let directory = self.data_dir.join("physical");
                step("Start a stand-in for a physical cluster", Physical::stand_in(&directory)).await?
            }
        };
        if physical.is_stand_in() {
            note("a second Atoll: it takes Deployments like any Kubernetes API server, but runs no containers");
        }
        let done = story.workload(&physical).await;
        match done {
            Ok(()) => Ok(physical),
            Err(failure) => {
                physical.stop().await;
                Err(failure)
            }
        }
    }
}

// === impl Story ===

impl Story {
    async fn begin(data_dir: &Path, listen: SocketAddr) -> Result<Self, Failure> {
        let failed = |error| Failure::because("the server cannot start", error);
        let builder = Server::builder().data_dir(data_dir).listen(listen).grace_period(Duration::from_secs(1));
        let server = builder.build().await.map_err(failed)?;
        let kubeconfig = server.pki().admin_kubeconfig.clone();
        let running = server.start().await.map_err(failed)?;
        let remote = Remote::open(&data_dir.join("admin.kubeconfig")).await?;
        Ok(Self { data_dir: data_dir.to_owned(), running, kubeconfig, remote })
    }

    /// Two tenants come to be.
    async fn tenants(&self) -> Result<(), Failure> {
        for team in ["team-a", "team-b"] {
            let workspace = json!({
                "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": team},
                "spec": {"resources": ["all"]},
            });
            step(&format!("Provision {team}"), async {
                self.send(&self.remote, "POST", WORKSPACES, &workspace).await?;
                self.until(&self.remote, &format!("/clusters/{team}/api/v1/namespaces/default"), |_| true).await
            })
            .await?;
        }
        note("each is a Kubernetes API server of its own, with its own CRDs, RBAC and objects");
        Ok(())
    }

    /// Each tenant has its own idea of what a widget is.
    async fn incompatible_apis(&self) -> Result<(), Failure> {
        let tenants =
            [("team-a", objects::sized_by_number(), json!(3)), ("team-b", objects::sized_by_word(), json!("large"))];
        for (team, schema, size) in &tenants {
            let what = format!("Install {team}'s CRD widgets.example.com, where a size is {}", schema["described"]);
            step(what.replace('"', "").as_str(), async {
                let path = format!("/clusters/{team}{}", objects::DEFINITIONS);
                self.send(&self.remote, "POST", &path, &objects::definition(&schema["size"])).await?;
                let path = format!("/clusters/{team}{}", objects::WIDGETS);
                self.send(&self.remote, "POST", &path, &objects::widget("first", size)).await
            })
            .await?;
            note(&format!("widget \"first\" with the size {size} created in {team}"));
        }
        for (team, _, other_size) in [("team-a", (), &tenants[1].2), ("team-b", (), &tenants[0].2)] {
            let path = format!("/clusters/{team}{}", objects::WIDGETS);
            let widget = objects::widget("second", other_size);
            match self.remote.call("POST", &path, Some(&widget)).await {
                Err(kube::Error::Api(status)) => note(&format!("{team} refuses the other's: {}", status.message)),
                Err(error) => return Err(self.remote.explain("creating a widget", error)),
                Ok(_) => return Err(Failure::new(format!("{team} took a widget of the other tenant's kind"))),
            }
        }
        Ok(())
    }

    /// A workload of one tenant runs on a physical cluster; the other sees nothing of it.
    async fn workload(&self, physical: &Physical) -> Result<(), Failure> {
        step("Register the physical cluster as SyncTarget \"edge\"", async {
            let secret = objects::kubeconfig_secret(&physical.kubeconfig);
            self.send(&self.remote, "POST", "/api/v1/namespaces/default/secrets", &secret).await?;
            self.send(&self.remote, "POST", TARGETS, &objects::sync_target()).await?;
            let path = format!("{TARGETS}/edge");
            let answered = self.until(&self.remote, &path, |target| !ready(target)["status"].is_null()).await?;
            match ready(&answered)["status"] == "True" {
                true => Ok(answered),
                false => {
                    Err(Failure::new(format!("the physical cluster cannot be used: {}", ready(&answered)["message"])))
                }
            }
        })
        .await?;
        step("Apply a Deployment, a ConfigMap and a Service to team-a", async {
            self.send(&self.remote, "POST", "/clusters/team-a/api/v1/namespaces", &objects::namespace()).await?;
            for (path, object) in objects::workload() {
                self.send(&self.remote, "POST", &format!("/clusters/team-a{path}"), &object).await?;
            }
            Ok(())
        })
        .await?;
        let namespace = step("See them arrive on the physical cluster", self.arrival(physical)).await?;
        note(&format!("in the namespace {namespace}, which no other tenant's namespace shares"));
        if physical.is_stand_in() {
            step("Play the Deployment controller there, as the stand-in has none", async {
                physical
                    .play_controller(&namespace)
                    .await
                    .map_err(|error| physical.remote.explain("setting a status", error))
            })
            .await?;
            note("only a status is set: no container runs");
        }
        let web = step("See the status come back to team-a", self.returned_status()).await?;
        let (ready, wanted) = (web["status"]["readyReplicas"].as_u64().unwrap_or(0), &web["spec"]["replicas"]);
        note(&format!("deployment.apps/web {ready}/{wanted} ready"));
        if web["status"]["observedGeneration"].is_null() {
            note("the physical cluster has set no status yet: no Deployment controller seems to run there");
        } else if ready < 2 {
            note("the physical cluster is still at it; whatever it reports next comes up as this did");
        }
        let seen = step("See what team-b sees of it", self.seen_by("team-b")).await?;
        match seen.as_slice() {
            [] => note("nothing: no namespace \"shop\", no Deployment, no Service, no ConfigMap \"greeting\""),
            seen => return Err(Failure::new(format!("team-b sees {}", seen.join(", ")))),
        }
        Ok(())
    }

    /// Waits until the workload runs, or until its physical cluster had time enough; gives the Deployment as the tenant sees
    /// it. Nodes that fetch an image slowly, or that are not there at all, are no failure of what is shown.
    async fn returned_status(&self) -> Result<Value, Failure> {
        let path = format!("/clusters/team-a{}/web", objects::DEPLOYMENTS);
        let until = Instant::now() + STATUS_PATIENCE;
        let is_up = |web: &Value| web["status"]["readyReplicas"] == 2 || Instant::now() > until;
        self.until(&self.remote, &path, is_up).await
    }

    /// Waits for the copies; gives the downstream namespace.
    async fn arrival(&self, physical: &Physical) -> Result<String, Failure> {
        let selector = "labelSelector=workload.atoll.dev/target-uid";
        let path = format!("/api/v1/namespaces?{selector}");
        let list = self.until(&physical.remote, &path, |list| objects::copied_namespace(list).is_some()).await?;
        let name = objects::copied_namespace(&list).unwrap_or_default();
        for (path, object) in objects::workload() {
            let path = path.replace("/namespaces/shop/", &format!("/namespaces/{name}/"));
            let object = object["metadata"]["name"].as_str().unwrap_or_default();
            self.until(&physical.remote, &format!("{path}/{object}"), |_| true).await?;
        }
        Ok(name)
    }

    /// What of team-a's workload another tenant sees.
    async fn seen_by(&self, team: &str) -> Result<Vec<String>, Failure> {
        let mut seen = Vec::new();
        let paths = ["/api/v1/namespaces", "/apis/apps/v1/deployments", "/api/v1/services", "/api/v1/configmaps"];
        for path in paths {
            let list = self.send(&self.remote, "GET", &format!("/clusters/{team}{path}"), &Value::Null).await?;
            let names = list["items"].as_array().into_iter().flatten().map(|item| item["metadata"]["name"].to_string());
            seen.extend(
                names
                    .map(|name| name.replace('"', ""))
                    .filter(|name| ["shop", "web", "greeting"].contains(&name.as_str())),
            );
        }
        Ok(seen)
    }

    async fn send(&self, remote: &Remote, method: &str, path: &str, object: &Value) -> Result<Value, Failure> {
        let body = (!object.is_null()).then_some(object);
        remote.call(method, path, body).await.map_err(|error| remote.explain(&format!("{method} {path}"), error))
    }

    /// Waits until an object is there and as it should be.
    async fn until(&self, remote: &Remote, path: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = remote.call("GET", path, None).await;
            let late = Instant::now() > deadline;
            match found {
                Ok(found) if is_so(&found) => return Ok(found),
                Err(error) if late => return Err(remote.explain(&format!("waiting for {path}"), error)),
                Ok(_) if late => return Err(Failure::new(format!("{path} is not as it should be after a minute"))),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Writes kubeconfigs, and tells what to do with them.
    fn show_ways_in(&self, physical: &Physical) -> Result<(), Failure> {
        let write = |name: &str, text: &str| -> Result<String, Failure> {
            let path = self.data_dir.join(format!("{name}.kubeconfig"));
            std::fs::write(&path, text)
                .map_err(|error| Failure::because(format!("cannot write {}", path.display()), error))?;
            Ok(path.display().to_string())
        };
        let url = self.running.url();
        let of_team = |team: &str| write(team, &self.kubeconfig.replace(&url, &format!("{url}/clusters/{team}")));
        let (a, b) = (of_team("team-a")?, of_team("team-b")?);
        let edge = match physical.is_stand_in() {
            true => self.data_dir.join("physical").join("admin.kubeconfig").display().to_string(),
            false => physical.path.display().to_string(),
        };
        let admin = self.data_dir.join("admin.kubeconfig").display().to_string();
        println!();
        for (kubeconfig, command) in [
            (&a, "get widgets,deployments,services,configmaps -A"),
            (&b, "get widgets,deployments,services,configmaps -A"),
            (&a, "-n shop scale deployment web --replicas 5"),
            (&a, "-n shop delete deployment web"),
            (&edge, "get deployments,services,configmaps -A"),
            (&admin, "get workspaces,synctargets"),
        ] {
            println!("  kubectl --kubeconfig {kubeconfig} {command}");
        }
        println!();
        Ok(())
    }
}

/// The condition `Ready`.
fn ready(target: &Value) -> Value {
    let conditions = target["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default()
}

/// Does one step of the story, and tells how long it took.
async fn step<T>(what: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let began = Instant::now();
    let spinner = progress::spinner(what.to_owned());
    let done = work.await;
    spinner.finish_and_clear();
    match &done {
        Ok(_) => println!("* {what} ({} ms)", began.elapsed().as_millis()),
        Err(_) => println!("! {what}"),
    }
    done
}

fn note(text: &str) {
    println!("    {text}");
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

async fn wait_for_interrupt() -> Result<(), Failure> {
    tokio::signal::ctrl_c().await.map_err(|error| Failure::because("cannot listen for Ctrl-C", error))
}
