//! Admission in the server's own process, without webhooks: a plugin that changes objects and one that checks them, which
//! reads other objects to do so.
//!
//! A plugin sees an object as it is stored. It may work with it as it is (any kind, any field), or read it as a type.
//!
//! ```sh
//! cargo run --features examples --example inline_admission
//! ```

use std::sync::Arc;

use atoll::admission::{AdmissionPlugin, Attributes, Operation};
use atoll::request::RequestContext;
use atoll::server::{Builder, Objects, Server};
use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::PodSpec;

/// Writes into every new object who made it. It works with objects of any kind, and may run twice with the same result.
struct Signature;

impl AdmissionPlugin for Signature {
    fn name(&self) -> &'static str {
        "Signature"
    }

    fn handles(&self, write: &Attributes) -> bool {
        write.operation == Operation::Create && write.subresource.is_empty()
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        _: &'a Attributes,
        object: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        object.set_annotation("example.com/made-by", &cx.user.name);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Lets pods use the images only that the config map `images` of their namespace lists.
struct KnownImages(Objects);

impl AdmissionPlugin for KnownImages {
    fn name(&self) -> &'static str {
        "KnownImages"
    }

    fn handles(&self, write: &Attributes) -> bool {
        write.concerns("", "pods") && write.subresource.is_empty()
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        write: &'a Attributes,
        object: Option<&'a Object>,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let known = self.0.get(&cx.cluster, "configmaps", &write.namespace, "images").unwrap_or_default();
        let is_known = |image: &str| known.at(&["data", image]).is_some();
        // A deletion has no object, and what is no pod has been refused before.
        let spec = object.and_then(|pod| serde_json::from_value::<PodSpec>(pod.get("spec")?.clone()).ok());
        let images = spec.into_iter().flat_map(|spec| spec.containers).filter_map(|container| container.image);
        let refused = images.into_iter().find(|image| !is_known(image)).map(|image| {
            write.forbidden(object, &format!("the image {image:?} is not listed in the config map \"images\""))
        });
        Box::pin(std::future::ready(refused.map_or(Ok(()), Err)))
    }
}

/// A server with both, after all that Kubernetes does by default.
fn guarded() -> Builder {
    Server::builder()
        .resources(["all"])
        .admission(Arc::new(Signature))
        .admission_with(|objects| Arc::new(KnownImages(objects)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = guarded().data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into()).build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig run web --image nginx ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/inline_admission.rs"]
mod tests;
