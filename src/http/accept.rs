//! What a client accepts.

/// The value of an `Accept` header.
#[derive(Debug, Clone, Default)]
pub(super) struct Accept(String);

impl Accept {
    /// Reads the header.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether discovery is wanted in the aggregated form.
    pub(super) fn wants_aggregated_discovery(&self) -> bool {
        self.0.contains("as=APIGroupDiscoveryList") && self.0.contains("v=v2") && !self.0.contains("v=v2beta")
    }
}
