use crate::error::ModelError;
use serde_json::{Map, Value};

pub(super) fn unsupported(field: &str, found: impl ToString, rule: &'static str) -> ModelError {
    ModelError::ConfigUnsupported { field: field.to_owned(), found: found.to_string(), rule }
}

/// The fields of a JSON object; an error names the field.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The field, unless it is absent or null.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn map(&self, field: &str) -> Result<Option<&'a Map<String, Value>>, ModelError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(unsupported(field, other, "it must be an object")),
        }
    }

    pub(super) fn optional_size(&self, field: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.map(Some).ok_or_else(|| unsupported(field, value, "it must be a whole number"))
    }

    pub(super) fn size(&self, field: &str) -> Result<usize, ModelError> {
        self.optional_size(field)?
            .ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })
    }

    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| unsupported(field, value, "it must be a number"))
    }

    pub(super) fn required_number(&self, field: &str) -> Result<f64, ModelError> {
        self.number(field)?.ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })
    }

    pub(super) fn numbers(&self, field: &str) -> Result<Vec<f64>, ModelError> {
        let value =
            self.get(field).ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })?;
        let numbers = value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers.ok_or_else(|| unsupported(field, value, "it must be a list of numbers"))
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| unsupported(field, value, "it must be true or false"))
    }
}
