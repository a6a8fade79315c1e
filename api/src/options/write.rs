//! The options of create, update and patch.

use super::{invalid, text, validate_dry_run};
use crate::field::{FieldError, FieldErrors, FieldPath};
use crate::query::Query;
use crate::status::ApiResult;
use crate::validation::validate_field_manager;

/// What becomes of unknown and duplicate fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// They are dropped without a word.
    Ignore,
    /// They are dropped, and the client is warned.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// The options of create and of update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Nothing is to be stored (`dryRun=All`).
    pub dry_run: bool,
    /// Who writes; empty if not said, and then the user agent tells.
    pub field_manager: String,
    /// What becomes of unknown and duplicate fields, if the client says so.
    pub field_validation: Option<FieldValidation>,
}

/// The options of create.
pub type CreateOptions = WriteOptions;
/// The options of update.
pub type UpdateOptions = WriteOptions;

impl WriteOptions {
    /// What becomes of unknown and duplicate fields.
    pub fn validation(&self) -> FieldValidation {
        self.field_validation.unwrap_or_default()
    }

    /// Reads and checks the options of a create.
    pub fn create_from_query(query: &Query) -> ApiResult<CreateOptions> {
        Self::from_query(query, "CreateOptions", FieldErrors::new())
    }

    /// Reads and checks the options of an update.
    pub fn update_from_query(query: &Query) -> ApiResult<UpdateOptions> {
        Self::from_query(query, "UpdateOptions", FieldErrors::new())
    }

    fn from_query(query: &Query, kind: &str, mut errors: FieldErrors) -> ApiResult<Self> {
        let manager = text(query, "fieldManager");
        validate_field_manager(manager, &FieldPath::new("fieldManager"), &mut errors);
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        validate_dry_run(&dry_run, &mut errors);
        let validation = text(query, "fieldValidation");
        let field_validation = match validation {
            "" => None,
            "Ignore" => Some(FieldValidation::Ignore),
            "Strict" => Some(FieldValidation::Strict),
            "Warn" => Some(FieldValidation::Warn),
            other => {
                let accepted = ["", "Ignore", "Strict", "Warn"];
                let path = FieldPath::new("fieldValidation");
                errors.push(FieldError::not_supported(&path, &other.into(), &accepted));
                None
            }
        };
        if !errors.is_empty() {
            return Err(invalid(kind, &errors));
        }
        Ok(Self { dry_run: !dry_run.is_empty(), field_manager: manager.to_owned(), field_validation })
    }
}

/// What sort of patch the options of a patch go with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchStyle {
    /// Server-side apply, in any encoding.
    Apply,
    /// JSON patch, merge patch or strategic merge patch.
    Other,
}

/// The options of patch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatchOptions {
    /// What patch has in common with create and update.
    pub write: WriteOptions,
    /// Whether apply takes fields from other managers.
    pub force: bool,
}

impl PatchOptions {
    /// Reads and checks the options of a patch.
    pub fn from_query(query: &Query, style: PatchStyle) -> ApiResult<Self> {
        let force = query.optional_flag("force");
        let mut errors = FieldErrors::new();
        match style {
            PatchStyle::Apply if text(query, "fieldManager").is_empty() => {
                let path = FieldPath::new("fieldManager");
                errors.push(FieldError::required(&path, "is required for apply patch"));
            }
            PatchStyle::Other if force.is_some() => {
                let path = FieldPath::new("force");
                errors.push(FieldError::forbidden(&path, "may not be specified for non-apply patch"));
            }
            _ => {}
        }
        let write = WriteOptions::from_query(query, "PatchOptions", errors)?;
        Ok(Self { write, force: force.unwrap_or_default() })
    }
}
