//! Connections through a resource to what it describes: terminals, logs and ports of pods, and what nodes and services
//! serve. What is decided here is where one leads and whether it can be asked for; nothing in this server reaches nodes.

use std::sync::Arc;

use atoll_api::ApiResult;
use atoll_api::query::Query;

use super::{ObjectName, Registry, Target};
use crate::request::RequestContext;

/// A connection that is asked for. The chain has authorized it already.
pub struct Connection<'a> {
    /// Cluster, user, time.
    pub cx: &'a RequestContext,
    /// Reads of stored objects.
    pub registry: &'a Arc<Registry>,
    /// The resource it goes through.
    pub target: &'a Target,
    /// How, such as `exec`.
    pub subresource: &'a str,
    /// The object it goes through.
    pub name: ObjectName<'a>,
    /// What is asked of it.
    pub query: &'a Query,
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Nowhere, and there is nothing to tell: a pod that is on no node has no log yet.
    Nowhere,
    /// To this node; empty for a service, which is wherever its pods are.
    Node(String),
}

/// Finds where connections through one resource lead.
pub trait Connector: Send + Sync + 'static {
    /// Checks what is asked for and finds the way, as far as stored objects tell.
    fn find(&self, connection: &Connection<'_>) -> ApiResult<Way>;
}
