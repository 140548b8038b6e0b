use super::{kernel, operand, tensor_like, with_values};
use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor};
use critic_kernels::attention::{self as kernels, AttentionShape, QueryRun};
use std::sync::{Arc, OnceLock};

struct ForestAttention {
    shape: AttentionShape,
    runs: Arc<[QueryRun]>,
    /// ln Σ exp of each query and head, kept from forward so that backward recomputes the probabilities.
    log_sum_exp: OnceLock<Vec<f32>>,
}

/// Attention in which a token sees its own path in the forest: `softmax(q·kᵀ·scale)·v` over its
/// ancestors and the tokens before it in its run.
///
/// # Shapes
/// - `q`: `[n_tokens, n_heads · head_dim]`
/// - `k`, `v`: `[n_tokens, n_kv_heads · head_dim]`
/// - returns the shape of `q`
///
/// # Errors
/// When the shapes do not fit or the runs do not cover the tokens.
pub fn forest_attention(
    shape: AttentionShape,
    runs: &Arc<[QueryRun]>,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<Tensor> {
    let op = ForestAttention { shape, runs: runs.clone(), log_sum_exp: OnceLock::new() };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

impl CustomOp3 for ForestAttention {
    fn name(&self) -> &'static str {
        "forest-attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n_tokens, width) = l1.shape().dims2()?;
        let mut out = vec![0.0; n_tokens * width];
        let mut log_sum_exp = vec![0.0; n_tokens * self.shape.n_heads];
        let (q, k, v) = (operand(s1, l1)?, operand(s2, l2)?, operand(s3, l3)?);
        kernels::forward(&self.shape, &self.runs, q, k, v, &mut out, &mut log_sum_exp)
            .map_err(kernel)?;
        // A second forward of the same operation would hold the same numbers.
        let _ = self.log_sum_exp.set(log_sum_exp);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(log_sum_exp) = self.log_sum_exp.get() else {
            return Err(Error::Msg("attention was not run forward before backward".to_owned()).bt());
        };
        let mut grad_q = vec![0.0; q.elem_count()];
        let mut grad_k = vec![0.0; k.elem_count()];
        let mut grad_v = vec![0.0; v.elem_count()];
        let mut run = |q: &[f32], k: &[f32], v: &[f32], res: &[f32], grad: &[f32]| {
            let (shape, runs) = (&self.shape, &self.runs);
            kernels::backward(
                shape,
                runs,
                q,
                k,
                v,
                res,
                log_sum_exp,
                grad,
                &mut grad_q,
                &mut grad_k,
                &mut grad_v,
            )
            .map_err(kernel)
        };
        with_values(q, |q| {
            with_values(k, |k| {
                with_values(v, |v| {
                    with_values(res, |res| with_values(grad, |grad| run(q, k, v, res, grad)))
                })
            })
        })?;
        Ok((
            Some(tensor_like(grad_q, q)?),
            Some(tensor_like(grad_k, k)?),
            Some(tensor_like(grad_v, v)?),
        ))
    }
}
