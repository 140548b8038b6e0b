use super::parameters::{ParameterId, Parameters};
use rayon::prelude::*;

/// Numbers of a buffer that a task clears.
const CHUNK: usize = 1 << 18;

/// The sum of the gradients of a step, one buffer for each parameter.
#[derive(Debug)]
pub struct Gradients {
    values: Vec<Vec<f32>>,
    reached: Vec<bool>,
}

impl Gradients {
    /// No gradients yet, with room for those of every parameter.
    pub fn new(parameters: &Parameters) -> Self {
        let values: Vec<Vec<f32>> =
            parameters.ids().map(|id| vec![0.0; parameters.values(id).len()]).collect();
        Self { reached: vec![false; values.len()], values }
    }

    /// Forgets everything; the memory stays.
    pub fn clear(&mut self) {
        for (values, reached) in self.values.iter_mut().zip(&mut self.reached) {
            if std::mem::take(reached) {
                values.par_chunks_mut(CHUNK).for_each(|part| part.fill(0.0));
            }
        }
    }

    /// The gradient of a parameter, absent when no pass has reached it.
    pub fn get(&self, id: ParameterId) -> Option<&[f32]> {
        self.reached[id.index()].then(|| self.values[id.index()].as_slice())
    }

    /// The buffer that a pass adds to; the parameter counts as reached.
    pub fn add_to(&mut self, id: ParameterId) -> &mut [f32] {
        self.reached[id.index()] = true;
        &mut self.values[id.index()]
    }
}
