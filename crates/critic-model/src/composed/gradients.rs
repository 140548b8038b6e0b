use super::parameters::Parameters;
use crate::error::ModelError;
use candle_core::backprop::GradStore;
use candle_core::{D, Result, Tensor};
use std::collections::BTreeMap;

/// The sum of the gradients of a step, by the name of the parameter.
#[derive(Debug, Default)]
pub struct Gradients {
    sums: BTreeMap<String, Tensor>,
}

impl Gradients {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.sums.clear();
    }

    /// Adds what a backward pass found for `parameters`.
    pub(super) fn add(&mut self, parameters: &Parameters, mut found: GradStore) -> Result<()> {
        for (name, variable) in parameters.variables() {
            let Some(gradient) = found.remove(variable) else { continue };
            // A gradient remembers how it was made, and would keep all activations alive.
            let sum = match self.sums.remove(name) {
                Some(sum) => (sum + gradient.detach())?,
                None => gradient.detach(),
            };
            self.sums.insert(name.to_owned(), sum);
        }
        Ok(())
    }

    /// The gradient of a parameter, absent when no pass has reached it.
    pub(super) fn get(&self, name: &str) -> Option<&Tensor> {
        self.sums.get(name)
    }

    /// The numbers of a parameter's gradient, row by row, absent when no pass has reached it.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device does not give them.
    pub fn values(&self, name: &str) -> std::result::Result<Option<Vec<f32>>, ModelError> {
        let values = |gradient: &Tensor| gradient.flatten_all()?.to_vec1();
        Ok(self.get(name).map(values).transpose()?)
    }

    /// The sum of squares of a parameter's gradient: of each row in f32 on the device, of the rows in f64.
    /// Absent when no pass has reached it.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device does not give it.
    pub fn sum_of_squares(&self, name: &str) -> std::result::Result<Option<f64>, ModelError> {
        let sum = |gradient: &Tensor| {
            let rows: Vec<f32> = gradient.sqr()?.sum(D::Minus1)?.flatten_all()?.to_vec1()?;
            Ok::<_, ModelError>(rows.into_iter().map(f64::from).sum())
        };
        self.get(name).map(sum).transpose()
    }

    /// Whether a parameter's gradient is zero everywhere, absent when no pass has reached it.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device does not tell.
    pub fn is_zero(&self, name: &str) -> std::result::Result<Option<bool>, ModelError> {
        // Not the maximum: it may pass over what is not a number.
        let is_zero = |gradient: &Tensor| {
            Ok::<_, ModelError>(gradient.abs()?.sum_all()?.to_scalar::<f32>()? == 0.0)
        };
        self.get(name).map(is_zero).transpose()
    }
}
