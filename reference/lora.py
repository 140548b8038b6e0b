"""The joint loss with low-rank adapters and the gradients of A and B, by autograd; each sequence runs alone.

usage: lora.py   (after joint_loss.py, whose pairs and reward head it takes)
"""

import json

from golden import GOLDEN, quiet_torch, write_json
from joint_loss import LAM, RewardModel, gradients, with_critiques
from safetensors.torch import save_file

torch = quiet_torch(0)

RANK, ALPHA = 4, 6.0
TARGETS = ["q_proj", "o_proj", "gate_proj", "down_proj"]


class Adapted(torch.nn.Module):
    """PEFT's linear layer: the frozen one plus (alpha / rank) (x Aᵀ) Bᵀ."""

    def __init__(self, base, generator):
        super().__init__()
        self.base = base
        rows = lambda *shape: torch.nn.Parameter(0.1 * torch.randn(*shape, generator=generator))
        self.lora_A, self.lora_B = rows(RANK, base.in_features), rows(base.out_features, RANK)

    def forward(self, x):
        return self.base(x) + ALPHA / RANK * (x @ self.lora_A.T) @ self.lora_B.T


def main(name, seed):
    model = RewardModel(GOLDEN / name, seed)
    model.lm.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for layer in model.lm.model.layers:
        for block in (layer.self_attn, layer.mlp):
            for target in [target for target in TARGETS if hasattr(block, target)]:
                setattr(block, target, Adapted(getattr(block, target), generator))
    case = json.loads((GOLDEN / f"joint_loss_{name}.json").read_text())
    _, critique, preference, _ = with_critiques(model, case["request"], case["pairs"])
    loss = LAM * critique + (1 - LAM) * preference
    found = gradients(model, loss)
    adapters = {key: weight.detach() for key, weight in model.named().items() if "lora_" in key}
    assert found.keys() == adapters.keys() | {"reward_head.weight"}
    tensors = {f"value.{key}.weight": value for key, value in adapters.items()}
    tensors |= {f"grad.{key.removesuffix('.weight')}.weight": value for key, value in found.items()}
    save_file({key: value.contiguous() for key, value in tensors.items()}, GOLDEN / f"lora_{name}.safetensors")
    write_json(f"lora_{name}.json", {"rank": RANK, "alpha": ALPHA, "target_modules": TARGETS, "loss": loss})


if __name__ == "__main__":
    main("tiny_llama", 11)
