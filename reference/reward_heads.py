"""The joint loss with reward heads of other shapes, their gradients and some of the decoder's, by autograd.

usage: reward_heads.py   (after joint_loss.py, whose pairs it takes)
"""

import json

from golden import GOLDEN, quiet_torch, write_json
from joint_loss import LAM, RewardModel, gradients, numbers, with_critiques
from safetensors.torch import save_file

torch = quiet_torch(0)

HIDDEN = 24


def heads(width):
    """Each head, and the names of its tensors in files by those of its parameters."""
    return {
        "mlp": (
            torch.nn.Sequential(torch.nn.Linear(width, HIDDEN), torch.nn.SiLU(), torch.nn.Linear(HIDDEN, 1, bias=False)),
            {"0.weight": "score.0.weight", "0.bias": "score.0.bias", "2.weight": "score.2.weight"},
        ),
        "value": (
            torch.nn.Linear(width, 1),
            {"weight": "v_head.summary.weight", "bias": "v_head.summary.bias"},
        ),
        "cloud": (
            torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)),
            {
                "0.weight": "reward_head.dense.weight", "0.bias": "reward_head.dense.bias",
                "2.weight": "reward_head.out_proj.weight", "2.bias": "reward_head.out_proj.bias",
            },
        ),
    }


def is_kept(name, value):
    return value.dim() == 1 or name == "model.layers.0.self_attn.k_proj.weight"


def main(name, seed):
    case = json.loads((GOLDEN / f"joint_loss_{name}.json").read_text())
    tensors, value = {}, {}
    width = RewardModel(GOLDEN / name, seed).lm.config.hidden_size
    generator = torch.Generator().manual_seed(seed)
    for head, (module, names) in heads(width).items():
        model = RewardModel(GOLDEN / name, seed)
        model.reward_head = module
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0.0, 0.3, generator=generator)
        rewards, critique, preference, _ = with_critiques(model, case["request"], case["pairs"])
        loss = LAM * critique + (1 - LAM) * preference
        found = gradients(model, loss)
        for key, parameter in module.named_parameters():
            tensors[f"{head}.value.{names[key]}"] = parameter.detach().clone()
            tensors[f"{head}.grad.{names[key]}"] = found[f"reward_head.{key}"]
        decoder = {key: gradient for key, gradient in found.items() if not key.startswith("reward_head.")}
        tensors |= {f"{head}.grad.{key}": gradient for key, gradient in decoder.items() if is_kept(key, gradient)}
        value[head] = {"rewards": numbers(rewards), "preference_loss": preference, "loss": loss}
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, GOLDEN / f"reward_heads_{name}.safetensors")
    write_json(f"reward_heads_{name}.json", value)


if __name__ == "__main__":
    main("tiny_llama", 21)
