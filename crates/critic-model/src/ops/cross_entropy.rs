use super::{kernel, operand, tensor_like};
use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};
use critic_kernels::cross_entropy::{self as kernels, Scratch, Target};
use critic_kernels::linear::Weight;
use std::sync::{Arc, Mutex};

struct CritiqueNll {
    targets: Arc<[u32]>,
    with_gradient: bool,
    /// Gradients of the sum with respect to hidden states and weight, made in the same pass over the logits.
    gradients: Mutex<Option<(Vec<f32>, Vec<f32>)>>,
}

/// Σ −ln P(target) over rows, nats: the LM head fused with its cross entropy.
///
/// The logits exist chunk by chunk only. This is the sum of Critic-RM's critique loss (Eq. 5, forward
/// KL to the kept critiques); divide by the number of targets for nats per token.
///
/// # Shapes
/// - `hidden`: `[n_targets, d_model]`, the rows that predict
/// - `weight`: `[vocab_size, d_model]`, the LM head
/// - `targets`: `[n_targets]`
/// - returns a scalar
///
/// # Errors
/// When the shapes do not fit or a target is not in the vocabulary.
pub fn critique_nll_sum(
    hidden: &Tensor,
    weight: &Tensor,
    targets: &Arc<[u32]>,
    with_gradient: bool,
) -> Result<Tensor> {
    let op = CritiqueNll { targets: targets.clone(), with_gradient, gradients: Mutex::new(None) };
    hidden.contiguous()?.apply_op2(&weight.contiguous()?, op)
}

impl CustomOp2 for CritiqueNll {
    fn name(&self) -> &'static str {
        "critique-nll-sum"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n_rows, d_model) = l1.shape().dims2()?;
        let (vocab_size, _) = l2.shape().dims2()?;
        let sizes = [n_rows, d_model, vocab_size];
        let target = |(row, &token): (usize, &u32)| Target { row: row as u32, token };
        let targets: Vec<Target> = self.targets.iter().enumerate().map(target).collect();
        let mut nll = vec![0.0; targets.len()];
        let (hidden, weight) = (operand(s1, l1)?, operand(s2, l2)?);
        let lm_head = Weight::F32(weight);
        let mut scratch = Scratch::default();
        let sum = if self.with_gradient {
            let mut grad_hidden = vec![0.0; hidden.len()];
            let mut grad_weight = vec![0.0; weight.len()];
            let sum = kernels::forward_backward(
                sizes,
                hidden,
                lm_head,
                &targets,
                1.0,
                &mut nll,
                &mut grad_hidden,
                &mut grad_weight,
                &mut scratch,
            )
            .map_err(kernel)?;
            *self.gradients.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                Some((grad_hidden, grad_weight));
            sum
        } else {
            kernels::forward(sizes, hidden, lm_head, &targets, &mut nll, &mut scratch)
                .map_err(kernel)?
        };
        Ok((CpuStorage::F32(vec![sum as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        hidden: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients =
            self.gradients.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some((mut grad_hidden, mut grad_weight)) = gradients else {
            return Err(Error::Msg(
                "the critique loss was run without gradients, or backward ran twice".to_owned(),
            )
            .bt());
        };
        let scale = grad.to_scalar::<f32>()?;
        grad_hidden.iter_mut().chain(&mut grad_weight).for_each(|g| *g *= scale);
        Ok((Some(tensor_like(grad_hidden, hidden)?), Some(tensor_like(grad_weight, weight)?)))
    }
}
