//! Label selectors, as text (`a=b,c in (d,e),!f`) and as `metav1.LabelSelector` objects.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::{SelectorError, text};
use crate::field::go_quote;
use crate::object::Object;
use crate::validation::{label_value, qualified_name};

/// How a requirement compares the value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelOperator {
    /// The label is there with one of the values.
    In,
    /// The label is absent, or has none of the values.
    NotIn,
    /// The label is there with the value (`=`).
    Equals,
    /// The label is there with the value (`==`).
    DoubleEquals,
    /// The label is absent, or has another value.
    NotEquals,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label is an integer greater than the value.
    GreaterThan,
    /// The label is an integer less than the value.
    LessThan,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelRequirement {
    key: String,
    operator: LabelOperator,
    /// Sorted, each once.
    values: Vec<String>,
}

impl LabelRequirement {
    /// A condition; its key, the number of values and the values are checked.
    pub fn new(key: &str, operator: LabelOperator, values: Vec<String>) -> Result<Self, SelectorError> {
        let mut faults = Vec::new();
        if let Some(fault) = joined(qualified_name(key)) {
            faults.push(format!("key: Invalid value: {}: {fault}", go_quote(key)));
        }
        if let Some(fault) = count_fault(operator, values.len()) {
            faults.push(format!("values: Invalid value: {}: {fault}", Value::from(values.clone())));
        }
        for (index, value) in values.iter().enumerate() {
            let shown = go_quote(value);
            if matches!(operator, LabelOperator::GreaterThan | LabelOperator::LessThan)
                && parse_integer(value).is_none()
            {
                let fault = "for 'Gt', 'Lt' operators, the value must be an integer";
                faults.push(format!("values[{index}]: Invalid value: {shown}: {fault}"));
            }
            if let Some(fault) = joined(label_value(value)) {
                faults.push(format!("values[{index}][{key}]: Invalid value: {shown}: {fault}"));
            }
        }
        match faults.len() {
            0 => {}
            1 => return Err(SelectorError(faults.remove(0))),
            _ => return Err(SelectorError(format!("[{}]", faults.join(", ")))),
        }
        let values: BTreeSet<String> = values.into_iter().collect();
        Ok(Self { key: key.to_owned(), operator, values: values.into_iter().collect() })
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label's value is compared.
    pub fn operator(&self) -> LabelOperator {
        self.operator
    }

    /// The values it is compared with, sorted.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the label's value (`None`: no such label) meets the condition.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.binary_search_by(|v| v.as_str().cmp(value)).is_ok();
        let compared = |value: &str| Some(parse_integer(value)?.cmp(&parse_integer(self.values.first()?)?));
        match self.operator {
            LabelOperator::In | LabelOperator::Equals | LabelOperator::DoubleEquals => value.is_some_and(among),
            LabelOperator::NotIn | LabelOperator::NotEquals => !value.is_some_and(among),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::GreaterThan => value.and_then(compared).is_some_and(|order| order.is_gt()),
            LabelOperator::LessThan => value.and_then(compared).is_some_and(|order| order.is_lt()),
        }
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
            LabelOperator::Equals => write!(f, "{key}={values}"),
            LabelOperator::DoubleEquals => write!(f, "{key}=={values}"),
            LabelOperator::NotEquals => write!(f, "{key}!={values}"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
            LabelOperator::GreaterThan => write!(f, "{key}>{values}"),
            LabelOperator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A set of conditions that all must be met; without conditions it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LabelSelector {
    /// Sorted by key.
    requirements: Vec<LabelRequirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing: what an absent `LabelSelector` object means.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let requirements = text::parse(text).map_err(SelectorError)?;
        Ok(Self::from_requirements(requirements))
    }

    /// Selects by the given conditions.
    pub fn from_requirements(mut requirements: Vec<LabelRequirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// Reads a `metav1.LabelSelector`; an absent one (null) selects nothing, an empty one everything.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(LabelRequirement::new(key, LabelOperator::Equals, vec![text(value)])?);
        }
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => LabelOperator::In,
                "NotIn" => LabelOperator::NotIn,
                "Exists" => LabelOperator::Exists,
                "DoesNotExist" => LabelOperator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{} is not a valid label selector operator", go_quote(other))));
                }
            };
            let values = expression["values"].as_array().into_iter().flatten().map(text).collect();
            requirements.push(LabelRequirement::new(&text(&expression["key"]), operator, values)?);
        }
        Ok(Self::from_requirements(requirements))
    }

    /// Reads a plain map of labels, such as the selector of a service or replication controller; nothing is checked.
    pub fn from_label_map(labels: &Value) -> Self {
        let exact = |(key, value): (&String, &Value)| LabelRequirement {
            key: key.clone(),
            operator: LabelOperator::Equals,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        };
        Self::from_requirements(labels.as_object().into_iter().flatten().map(exact).collect())
    }

    /// The conditions, sorted by key.
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether nothing is ever selected.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Whether labels are selected; `label` gives a label's value by its key.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Whether an object's labels are selected.
    pub fn matches_object(&self, object: &Object) -> bool {
        self.matches(|key| object.label(key))
    }

    /// The one value the label must have, if the selector demands that.
    pub fn requires_exact(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (LabelOperator::In | LabelOperator::Equals | LabelOperator::DoubleEquals, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

pub(super) fn joined(wrong: Vec<String>) -> Option<String> {
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

fn count_fault(operator: LabelOperator, count: usize) -> Option<&'static str> {
    match operator {
        LabelOperator::In | LabelOperator::NotIn if count == 0 => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        LabelOperator::Equals | LabelOperator::DoubleEquals | LabelOperator::NotEquals if count != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        LabelOperator::Exists | LabelOperator::DoesNotExist if count != 0 => {
            Some("values set must be empty for exists and does not exist")
        }
        LabelOperator::GreaterThan | LabelOperator::LessThan if count != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    }
}

/// An integer as Go's `strconv.ParseInt` reads it.
fn parse_integer(text: &str) -> Option<i64> {
    text.parse().ok()
}
