use super::parameters::{ParameterId, Parameters};
use rayon::prelude::*;

/// Numbers of a buffer that a task clears.
const CHUNK: usize = 1 << 18;

/// The sum of the gradients of a step, one buffer for each parameter that is trained.
#[derive(Debug)]
pub struct Gradients {
    /// Empty for a parameter that is frozen.
    values: Vec<Vec<f32>>,
    reached: Vec<bool>,
    lengths: Vec<usize>,
    /// Where passes add what nobody asks for.
    forgotten: Vec<f32>,
}

impl Gradients {
    /// No gradients yet, with room for those of every parameter that is trained.
    pub fn new(parameters: &Parameters) -> Self {
        let lengths: Vec<usize> =
            parameters.ids().map(|id| parameters.shape(id).iter().product()).collect();
        let mut values = vec![Vec::new(); lengths.len()];
        for id in parameters.trained_ids() {
            values[id.index()] = vec![0.0; lengths[id.index()]];
        }
        Self { reached: vec![false; values.len()], values, lengths, forgotten: Vec::new() }
    }

    /// Forgets everything; the memory stays.
    pub fn clear(&mut self) {
        for (values, reached) in self.values.iter_mut().zip(&mut self.reached) {
            if std::mem::take(reached) {
                values.par_chunks_mut(CHUNK).for_each(|part| part.fill(0.0));
            }
        }
    }

    /// The gradient of a parameter, absent when no pass has reached it or it is frozen.
    pub fn get(&self, id: ParameterId) -> Option<&[f32]> {
        self.reached[id.index()].then(|| self.values[id.index()].as_slice())
    }

    /// Whether a parameter's gradient is kept: work on the gradient of a frozen one is lost.
    pub fn has_room(&self, id: ParameterId) -> bool {
        !self.values[id.index()].is_empty()
    }

    /// The buffer that a pass adds to; the parameter counts as reached.
    ///
    /// What is added for a frozen parameter is forgotten.
    pub fn add_to(&mut self, id: ParameterId) -> &mut [f32] {
        let index = id.index();
        if self.values[index].is_empty() {
            self.forgotten.resize(self.forgotten.len().max(self.lengths[index]), 0.0);
            return &mut self.forgotten[..self.lengths[index]];
        }
        self.reached[index] = true;
        &mut self.values[index]
    }

    /// The buffers that a pass adds to, of those of the `ids`, each another, that are trained; they count as
    /// reached.
    pub(super) fn add_to_each<const N: usize>(
        &mut self,
        ids: [ParameterId; N],
    ) -> [Option<&mut [f32]>; N] {
        let mut buffers = [const { None }; N];
        for (index, values) in self.values.iter_mut().enumerate() {
            if let Some(at) = ids.iter().position(|id| id.index() == index)
                && !values.is_empty()
            {
                self.reached[index] = true;
                buffers[at] = Some(values.as_mut_slice());
            }
        }
        buffers
    }
}
