//! Files in a volume that lie on or below each other.

use serde_json::Value;

use crate::resources::read::{entries, list, text};

/// How many files are compared with each other.
const MAX_FILES: usize = 512;

/// A file in a volume, and where it is from.
#[derive(Clone, PartialEq, Eq)]
struct File {
    path: String,
    source: String,
}

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.source.as_str() {
            "" => write!(f, "{:?}", self.path),
            source => write!(f, "{:?} ({source})", self.path),
        }
    }
}

/// The warnings for the volumes of a pod.
pub(super) fn warnings(volumes: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for volume in list(volumes) {
        let name = text(&volume["name"]);
        let told = |what: &str, files: Vec<File>| -> Vec<String> {
            let overlaps = overlaps(files).into_iter();
            overlaps.map(|overlap| format!("volume {name:?} ({what}): overlapping paths: {overlap}")).collect()
        };
        let (map, secret) = (&volume["configMap"], &volume["secret"]);
        warnings.extend(told(&format!("ConfigMap {:?}", text(&map["name"])), items(map, "")));
        warnings.extend(told(&format!("Secret {:?}", text(&secret["secretName"])), items(secret, "")));
        warnings.extend(told("DownwardAPI", items(&volume["downwardAPI"], "")));
        let mut files = Vec::new();
        for source in list(&volume["projected"]["sources"]) {
            if entries(source).next().is_none() {
                warnings.push(format!("volume {name:?} (Projected) has no sources provided"));
            }
            files.extend(projected(source));
        }
        warnings.extend(told("Projected", files));
    }
    warnings
}

fn items(source: &Value, from: &str) -> Vec<File> {
    let file = |item: &Value| File { path: text(&item["path"]).to_owned(), source: from.to_owned() };
    list(&source["items"]).iter().map(file).collect()
}

/// The files of one source of a projected volume; the first kind that is there counts.
fn projected(source: &Value) -> Vec<File> {
    let named = |kind: &str, value: &Value| format!("{kind} {:?}", text(&value["name"]));
    let (map, secret, fields) = (&source["configMap"], &source["secret"], &source["downwardAPI"]);
    let (token, bundle, certificate) =
        (&source["serviceAccountToken"], &source["clusterTrustBundle"], &source["podCertificate"]);
    let file = |path: &Value, source: String| File { path: text(path).to_owned(), source };
    if map["items"].is_array() {
        items(map, &named("ConfigMap", map))
    } else if secret["items"].is_array() {
        items(secret, &named("Secret", secret))
    } else if fields["items"].is_array() {
        items(fields, "DownwardAPI")
    } else if token.is_object() {
        vec![file(&token["path"], "ServiceAccountToken".to_owned())]
    } else if bundle.is_object() {
        let name = bundle["name"].as_str().unwrap_or_else(|| text(&bundle["signerName"]));
        vec![file(&bundle["path"], format!("ClusterTrustBundle {name:?}"))]
    } else {
        let parts =
            [("certificateChainPath", "chain"), ("keyPath", "key"), ("credentialBundlePath", "credential bundle")];
        let given = parts.into_iter().filter(|(field, _)| !text(&certificate[*field]).is_empty());
        given.map(|(field, what)| file(&certificate[field], format!("PodCertificate {what}"))).collect()
    }
}

/// Each file with each earlier one that it overlaps.
fn overlaps(files: Vec<File>) -> Vec<String> {
    let mut seen: Vec<File> = Vec::new();
    let mut found = Vec::new();
    for mut file in files.into_iter().take(MAX_FILES) {
        file.path.truncate(file.path.trim_end_matches('/').len());
        if file.path.is_empty() {
            continue;
        }
        let below = |one: &str, other: &str| format!("{one}/").starts_with(&format!("{other}/"));
        let hit = |other: &&File| below(&other.path, &file.path) || below(&file.path, &other.path);
        found.extend(seen.iter().filter(hit).map(|other| format!("{file} with {other}")));
        seen.push(file);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn files_on_and_below_each_other_are_told() {
        let items = |paths: [&str; 3]| json!(paths.map(|path| json!({"key": "k", "path": path})));
        let volumes = json!([
            {"name": "v", "configMap": {"name": "m", "items": items(["a", "a/b", "ab"])}},
            {"name": "p", "projected": {"sources": [
                {"secret": {"name": "s", "items": items(["x", "y", "z"])}},
                {"serviceAccountToken": {"path": "x/"}},
                {},
            ]}},
        ]);
        let expected = [
            r#"volume "v" (ConfigMap "m"): overlapping paths: "a/b" with "a""#,
            r#"volume "p" (Projected) has no sources provided"#,
            r#"volume "p" (Projected): overlapping paths: "x" (ServiceAccountToken) with "x" (Secret "s")"#,
        ];
        assert_eq!(super::warnings(&volumes), expected);
    }
}
