//! Custom resource definitions and nothing else; or with a handful of Kubernetes' own resources beside them.
//!
//! ```sh
//! cargo run --features examples --example crds            # definitions and a handful
//! cargo run --features examples --example crds -- only    # definitions alone
//! ```

use atoll::server::{Builder, Server};

/// A server on which people define types of their own. Without namespaces among its resources, objects that live in
/// namespaces can still be made in those that every cluster begins with, such as `default`.
fn only_crds() -> Builder {
    Server::builder().single_cluster().resources(["customresourcedefinitions.apiextensions.k8s.io"])
}

/// The same with what controllers expect: somewhere to put secrets, and somebody to grant rights to.
fn crds_and_a_handful() -> Builder {
    let names =
        ["customresourcedefinitions.apiextensions.k8s.io", "namespaces", "secrets", "*.rbac.authorization.k8s.io"];
    Server::builder().single_cluster().resources(names)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let more = std::env::args().nth(1).is_none_or(|which| which != "only");
    let builder = if more { crds_and_a_handful() } else { only_crds() };
    let builder = builder.data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into());
    let running = builder.build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig apply -f my-crd.yaml ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use atoll::test::ControlPlane;
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
    use serde_json::json;

    use super::*;

    fn definition() -> CustomResourceDefinition {
        serde_json::from_value(json!({
            "metadata": {"name": "boats.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "sails": {"type": "integer", "minimum": 1, "default": 2},
                    }}},
                }],
            },
        }))
        .expect("a definition")
    }

    #[tokio::test]
    async fn a_type_is_served_as_soon_as_it_is_defined() {
        for (builder, groups) in [(only_crds(), 1), (crds_and_a_handful(), 2)] {
            let plane = ControlPlane::start_with(builder).await.expect("a control plane");
            let client = plane.root().client();
            assert_eq!(client.list_api_groups().await.expect("discovery").groups.len(), groups);

            Api::all(client.clone()).create(&Default::default(), &definition()).await.expect("defined");
            let boat = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Boat"));
            let boats: Api<DynamicObject> = Api::namespaced_with(client, "default", &boat);
            let made = boats.create(&Default::default(), &DynamicObject::new("dinghy", &boat)).await;
            assert_eq!(made.expect("created").data["sails"], 2);
            plane.stop().await;
        }
    }
}
