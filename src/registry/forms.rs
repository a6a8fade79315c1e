//! A resource's versions, as admission shows objects in them and reads them back.

use std::fmt;
use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, GroupVersion, Object, Value};

use super::resource::Origin;
use super::{Target, decode};
use crate::admission::{Fields, Shape, Shapes};
use crate::codec::strict_error;
use crate::patch;

/// The versions of a target's resource.
struct Forms(Target);

/// The forms of a target's resource.
pub fn forms(target: Target) -> Arc<dyn Shapes> {
    Arc::new(Forms(target))
}

impl Forms {
    fn target(&self, version: &GroupVersion) -> ApiResult<Target> {
        let versions = &self.0.descriptor().versions;
        let index = versions.iter().position(|known| known.version == *version);
        let index =
            index.ok_or_else(|| ApiError::internal(format!("unable to convert to {version}: unknown version")))?;
        Ok(Target::new(self.0.resource.clone(), index))
    }
}

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forms({})", self.0.descriptor().resource)
    }
}

impl Shapes for Forms {
    fn versions(&self) -> Vec<Shape> {
        let versions = &self.0.descriptor().versions;
        let served = versions.iter().enumerate().filter(|(_, version)| version.served);
        served
            .map(|(index, _)| {
                let target = Target::new(self.0.resource.clone(), index);
                Shape { resource: target.gvr(), kind: target.kind() }
            })
            .collect()
    }

    fn show(&self, object: &Object, version: &GroupVersion) -> ApiResult<Object> {
        let mut shown = object.clone();
        self.0.resource.convert(&mut shown, version)?;
        Ok(shown)
    }

    fn take(&self, value: Value, version: &GroupVersion, fields: Fields) -> ApiResult<Object> {
        let target = self.target(version)?;
        let (mut object, faults) = decode::reread(&target, value)?;
        // Kubernetes reads custom objects without looking at their fields here.
        if fields == Fields::Known && !faults.is_empty() && target.resource.origin() == Origin::Builtin {
            return Err(ApiError::bad_request(strict_error(&faults)));
        }
        decode::default(&target, &mut object)?;
        self.0.resource.convert(&mut object, &self.0.at_work().version().version)?;
        Ok(object)
    }

    fn overlay(&self, object: &Value, part: &Value, version: &GroupVersion) -> Result<Value, String> {
        let target = self.target(version).map_err(|error| error.to_string())?;
        patch::apply::overlay(&target.version().schema, object, part)
    }
}
