//! What must be there: created where it is missing, and put right where that is asked for.

use serde_json::Value;

use crate::cluster_api::{Answer, Failure, Resource, Server, Shape, optional};

/// What must be there in a namespace of a cluster.
pub(crate) struct Wanted<'a> {
    /// Whom it is created and put right as.
    pub(crate) server: &'a Server,
    /// The name by which its fields are owned.
    pub(crate) manager: &'a str,
    /// The cluster.
    pub(crate) cluster: &'a str,
    /// The namespace.
    pub(crate) namespace: &'a str,
    /// Of what.
    pub(crate) resource: Resource<'a>,
    /// The object.
    pub(crate) object: Value,
    /// The fields that are put right if it is there already. Without any it is its owner's, who may have changed it.
    pub(crate) kept: &'a [&'a str],
}

impl Wanted<'_> {
    /// Sees to it. A cluster that does not serve the resource, or a namespace that is going, needs none.
    pub(crate) async fn ensure(self) -> Answer<()> {
        let cluster = self.server.cluster(self.cluster);
        let name = self.object["metadata"]["name"].as_str().unwrap_or_default();
        let path = self.resource.object(self.namespace, name);
        let shape = if self.kept.is_empty() { Shape::Metadata } else { Shape::Full };
        let written = match optional(self.server.cluster_as_manager(self.cluster).get(&path, shape).await) {
            Ok(Some(mut found)) => {
                let wrong = |field: &&&str| found.get(field) != self.object.get(**field);
                let wrong: Vec<&str> = self.kept.iter().filter(wrong).copied().collect();
                if wrong.is_empty() {
                    return Ok(());
                }
                for field in wrong {
                    found.0.insert(field.to_owned(), self.object[field].clone());
                }
                cluster.replace(&path, &Value::Object(found.0), self.manager).await
            }
            Ok(None) => cluster.create(&self.resource.collection(self.namespace), &self.object, self.manager).await,
            Err(failure) => Err(failure),
        };
        match written {
            Ok(_) | Err(Failure::Absent | Failure::NoCluster | Failure::NotServed | Failure::AlreadyExists) => Ok(()),
            // The namespace is being deleted, or the cluster's policy does not want it.
            Err(Failure::Refused(status)) => {
                let (cluster, namespace) = (self.cluster, self.namespace);
                tracing::debug!(cluster, namespace, name, message = status.message, "not created");
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}
