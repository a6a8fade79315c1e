//! What Go calls a type and the fields of a struct: the words of decoding faults.
//!
//! One text holds it all, as it is only read when there is a fault to tell.

use std::sync::Arc;

/// What Go calls a type, such as `v1.PodSpec` or `v1.PullPolicy`; of a struct also what its fields say of themselves.
///
/// The text is the name, then for each field that has something to say a word: `name=type` where the type does not follow
/// from the schema, `name@Struct` where it comes from an inlined struct, `name@Struct=type` for both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoType(Arc<str>);

/// What Go says of a field, besides what the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GoField<'t> {
    /// The inlined structs it comes from, joined by dots; empty if it is the struct's own.
    pub inlined: &'t str,
    /// Its type, empty where that follows from the schema.
    pub type_name: &'t str,
}

// === impl GoType ===

impl GoType {
    /// The type of this name, whose fields have the words `fields`, separated by spaces.
    pub fn with_fields(name: &str, fields: &str) -> Self {
        Self(if fields.is_empty() { name.into() } else { format!("{name} {fields}").into() })
    }

    /// The name, with the last part of its package.
    pub fn name(&self) -> &str {
        self.words().next().unwrap_or_default()
    }

    /// The name without its package.
    pub fn short_name(&self) -> &str {
        self.name().rsplit('.').next().unwrap_or_default()
    }

    /// What Go says of a field of the struct.
    pub fn field(&self, name: &str) -> GoField<'_> {
        let told = self.words().skip(1).find_map(|word| {
            let (place, type_name) = word.split_once('=').unwrap_or((word, ""));
            let (field, inlined) = place.split_once('@').unwrap_or((place, ""));
            (field == name).then_some(GoField { inlined, type_name })
        });
        told.unwrap_or_default()
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }
}

impl From<&str> for GoType {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl<'t> GoField<'t> {
    /// The type of the field's elements, as many levels of lists and maps down; empty where that follows from the schema.
    pub fn type_below(self, levels: usize) -> &'t str {
        (0..levels).fold(self.type_name, |outer, _| {
            let inner = outer
                .strip_prefix("[]")
                .or_else(|| outer.strip_prefix("map[")?.split_once(']').map(|(_, inner)| inner));
            inner.unwrap_or_default().trim_start_matches('*')
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_tells_of_its_fields() {
        let probe = GoType::with_fields("v1.Probe", "exec@ProbeHandler policy=v1.PullPolicy kind@Rule.Inner=[]v1.Kind");
        assert_eq!((probe.name(), probe.short_name()), ("v1.Probe", "Probe"));
        for (field, inlined, type_name) in [
            ("exec", "ProbeHandler", ""),
            ("policy", "", "v1.PullPolicy"),
            ("kind", "Rule.Inner", "[]v1.Kind"),
            ("other", "", ""),
        ] {
            assert_eq!(probe.field(field), GoField { inlined, type_name }, "{field}");
        }
        assert_eq!(GoType::from("v1.PullPolicy").field("v1.PullPolicy"), GoField::default());
    }

    #[test]
    fn elements_have_the_types_below() {
        for (type_name, levels, expected) in [
            ("[]v1.Capability", 0, "[]v1.Capability"),
            ("[]v1.Capability", 1, "v1.Capability"),
            ("map[v1.ResourceName]v1.ClaimResourceStatus", 1, "v1.ClaimResourceStatus"),
            ("map[string][]*v1.Thing", 2, "v1.Thing"),
            ("v1.ResourceList", 1, ""),
            ("", 1, ""),
        ] {
            let field = GoField { inlined: "", type_name };
            assert_eq!(field.type_below(levels), expected, "{type_name} {levels}");
        }
    }
}
