//! `atoll kubeconfig`: what a client needs to reach one logical cluster, as a file or merged into one.

use std::io::Write;
use std::path::{Path, PathBuf};

use atoll_api::LogicalClusterName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use kube::config::Kubeconfig as Source;
use serde_json::{Map, Value, json};

use super::client::Remote;
use super::cluster::WORKSPACES;
use super::{Connection, Failure};
use crate::codec::yaml;

/// Prints a kubeconfig for a logical cluster.
#[derive(Debug, Args)]
pub(super) struct Kubeconfig {
    /// The logical cluster.
    name: String,
    /// Whom it is for: a token for this user is made, which is good in this logical cluster only. Without it the
    /// credential of --kubeconfig is copied.
    #[arg(long)]
    user: Option<String>,
    /// A group the user is in; may be given several times.
    #[arg(long = "group", value_name = "GROUP", requires = "user")]
    groups: Vec<String>,
    /// How long the token is good: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = seconds)]
    ttl: i64,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Add it to the file, whose other entries stay, and make it the current context; without --output, to that of
    /// $KUBECONFIG or ~/.kube/config.
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    connection: Connection,
}

/// One context, with what it refers to under its own name.
struct Entry {
    name: String,
    cluster: Value,
    user: Value,
}

impl Kubeconfig {
    pub(super) async fn run(self) -> Result<(), Failure> {
        LogicalClusterName::parse(&self.name).map_err(|error| Failure::new(error.to_string()))?;
        let remote = Remote::open(&self.connection.kubeconfig).await?;
        let user = match &self.user {
            Some(user) => json!({"token": self.token(&remote, user).await?}),
            None => {
                let doing = format!("looking for the logical cluster {:?}", self.name);
                let path = format!("{WORKSPACES}/{}", self.name);
                remote.call("GET", &path, None).await.map_err(|error| remote.explain(&doing, error))?;
                own_user(&remote.kubeconfig)?
            }
        };
        let cluster = cluster(&remote.kubeconfig, remote.cluster_url(&self.name))?;
        let name = match &self.user {
            Some(user) => format!("{user}@atoll-{}", self.name),
            None => format!("atoll-{}", self.name),
        };
        let entry = Entry { name, cluster, user };
        match (self.target(), self.merge) {
            (None, _) => {
                print!("{}", text(&entry.added_to(Value::Null)?));
                Ok(())
            }
            (Some(path), merge) => {
                let there = if merge { read(&path)? } else { Value::Null };
                write(&path, &text(&entry.added_to(there)?))?;
                eprintln!("context {:?} written to {}", entry.name, path.display());
                Ok(())
            }
        }
    }

    /// The file to write to; none for standard output.
    fn target(&self) -> Option<PathBuf> {
        self.output.clone().or_else(|| self.merge.then(default_file).flatten())
    }

    async fn token(&self, remote: &Remote, user: &str) -> Result<String, Failure> {
        let request = json!({
            "apiVersion": "authentication.atoll.dev/v1alpha1", "kind": "UserTokenRequest",
            "spec": {"user": user, "groups": self.groups, "expirationSeconds": self.ttl},
        });
        let doing = format!("making a token for {user:?} in the logical cluster {:?}", self.name);
        let path = format!("{WORKSPACES}/{}/token", self.name);
        let answer = remote.call("POST", &path, Some(&request)).await.map_err(|error| remote.explain(&doing, error))?;
        match answer["status"]["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => Err(Failure::new(format!("{doing}: the server's answer holds no token"))),
        }
    }
}

impl Entry {
    /// A kubeconfig with this entry, in place of one of the same name, as its current context.
    fn added_to(&self, config: Value) -> Result<Value, Failure> {
        let mut config = match config {
            Value::Null => json!({"apiVersion": "v1", "kind": "Config"}),
            Value::Object(_) => config,
            _ => return Err(Failure::new("the file is not a kubeconfig; choose another, or move it away")),
        };
        let context = json!({"cluster": self.name, "user": self.name});
        let parts =
            [("clusters", "cluster", &self.cluster), ("users", "user", &self.user), ("contexts", "context", &context)];
        for (list, field, value) in parts {
            let entry = Value::Object(Map::from_iter([
                ("name".to_owned(), Value::from(self.name.as_str())),
                (field.to_owned(), value.clone()),
            ]));
            match &mut config[list] {
                Value::Array(entries) => {
                    entries.retain(|known| known["name"] != self.name.as_str());
                    entries.push(entry);
                }
                other => *other = json!([entry]),
            }
        }
        config["current-context"] = self.name.as_str().into();
        Ok(config)
    }
}

/// The cluster of the current context, at another URL.
fn cluster(source: &Source, server: String) -> Result<Value, Failure> {
    let name = current(source)?.cluster.as_str();
    let found = source.clusters.iter().find(|cluster| cluster.name == name).and_then(|found| found.cluster.as_ref());
    let mut cluster = as_map(found)?;
    embed(&mut cluster, "certificate-authority", "certificate-authority-data")?;
    cluster.insert("server".into(), server.into());
    Ok(Value::Object(cluster))
}

/// The user of the current context, with the files it names, so that it can be used elsewhere.
fn own_user(source: &Source) -> Result<Value, Failure> {
    let name = current(source)?.user.clone().unwrap_or_default();
    let found = source.auth_infos.iter().find(|user| user.name == name).and_then(|found| found.auth_info.as_ref());
    let mut user = as_map(found)?;
    embed(&mut user, "client-certificate", "client-certificate-data")?;
    embed(&mut user, "client-key", "client-key-data")?;
    Ok(Value::Object(user))
}

fn current(source: &Source) -> Result<&kube::config::Context, Failure> {
    let name = source.current_context.as_deref().unwrap_or_default();
    let found = source.contexts.iter().find(|context| context.name == name);
    found.and_then(|found| found.context.as_ref()).ok_or_else(|| {
        Failure::new(
            "the file given with --kubeconfig has no current context; choose one with kubectl config use-context",
        )
    })
}

fn as_map(part: Option<&impl serde::Serialize>) -> Result<Map<String, Value>, Failure> {
    match part.map(serde_json::to_value) {
        Some(Ok(Value::Object(mut map))) => {
            map.retain(|_, value| !value.is_null());
            Ok(map)
        }
        Some(Err(error)) => Err(Failure::because("the file given with --kubeconfig cannot be copied", error)),
        _ => Err(Failure::new("the current context of the file given with --kubeconfig is incomplete")),
    }
}

/// Puts a file's content where only its path was.
fn embed(map: &mut Map<String, Value>, path_field: &str, data_field: &str) -> Result<(), Failure> {
    if let Some(Value::String(path)) = map.remove(path_field)
        && !map.contains_key(data_field)
    {
        let bytes = std::fs::read(&path).map_err(|error| Failure::because(format!("cannot read {path}"), error))?;
        map.insert(data_field.to_owned(), STANDARD.encode(bytes).into());
    }
    Ok(())
}

/// The file kubectl would write to.
fn default_file() -> Option<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    match listed {
        Some(paths) => std::env::split_paths(&paths).find(|path| !path.as_os_str().is_empty()),
        None => std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config")),
    }
}

/// A kubeconfig as a value; null if there is no file.
fn read(path: &Path) -> Result<Value, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            yaml::parse_value(&text).map_err(|error| Failure::because(format!("{} is not YAML", path.display()), error))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(Failure::because(format!("cannot read {}", path.display()), error)),
    }
}

fn text(config: &Value) -> String {
    String::from_utf8_lossy(&yaml::to_vec(config)).into_owned()
}

/// Writes a file that only its owner can read, whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    // What a link points to is replaced, not the link.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let cannot = |error: std::io::Error| Failure::because(format!("cannot write {}", path.display()), error);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(cannot)?;
    let draft = dir.join(format!(".atoll-kubeconfig-{}", uuid::Uuid::new_v4()));
    let done = write_private(&draft, text).and_then(|()| std::fs::rename(&draft, &path));
    if done.is_err() {
        // It may not even be there.
        let _ = std::fs::remove_file(&draft);
    }
    done.map_err(cannot)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A number and a unit, in seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no time; write a number and s, m, h or d, such as 12h");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    number.checked_mul(each).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(server: &str) -> Entry {
        Entry { name: "atoll-a".into(), cluster: json!({"server": server}), user: json!({"token": "t"}) }
    }

    #[test]
    fn merging_replaces_what_has_the_same_name_and_keeps_the_rest() {
        let there = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "mine", "preferences": {"colors": true},
            "clusters": [{"name": "mine", "cluster": {"server": "https://mine"}}],
            "contexts": [{"name": "mine", "context": {"cluster": "mine", "user": "me"}}],
            "users": null,
        });
        let once = entry("https://one").added_to(there).expect("merged");
        let twice = entry("https://two").added_to(once).expect("merged");
        assert_eq!(twice["current-context"], "atoll-a");
        assert_eq!(twice["preferences"], json!({"colors": true}));
        let servers: Vec<&Value> =
            twice["clusters"].as_array().expect("a list").iter().map(|c| &c["cluster"]["server"]).collect();
        assert_eq!(servers, ["https://mine", "https://two"]);
        assert_eq!(twice["users"], json!([{"name": "atoll-a", "user": {"token": "t"}}]));
        assert_eq!(twice["contexts"][1]["context"], json!({"cluster": "atoll-a", "user": "atoll-a"}));
        assert!(entry("https://one").added_to(json!(["no", "kubeconfig"])).is_err());
    }

    #[test]
    fn files_are_written_whole_and_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deep/config");
        assert_eq!(read(&path).expect("nothing there"), Value::Null);
        write(&path, &text(&entry("https://one").added_to(Value::Null).expect("made"))).expect("written");
        assert_eq!(read(&path).expect("readable")["kind"], "Config");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path().join("deep")).expect("there").count(), 1, "no draft is left");
    }

    #[test]
    fn times_are_numbers_with_a_unit() {
        for (text, expected) in [("90s", Some(90)), ("15m", Some(900)), ("24h", Some(86_400)), ("7d", Some(604_800))] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
        for text in ["", "h", "24", "-1h", "0s", "1w", "99999999999999999d", "1µ"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
