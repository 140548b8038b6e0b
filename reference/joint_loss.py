"""The joint loss of critic-rm, its gradients and ten AdamW steps, by autograd; each sequence runs alone.

usage: joint_loss.py   (after tiny_models.py)
"""

from golden import GOLDEN, quiet_torch, write_json

import numpy as np
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

torch = quiet_torch(0)
from torch.nn import functional as F

LAM = 0.6
STEPS = 10
N_CRITIQUES = [(2, 1), (1, 3)]
ADAMW = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
WEIGHT_DECAY = 0.01


def draw_pairs(seed, vocabulary, eos):
    """Two pairs of random ids; every critique ends in `eos`, and nothing else holds it."""
    rng = np.random.default_rng(seed)
    ordinary = [i for i in range(3, vocabulary - 3) if i != eos]
    ids = lambda low, high: rng.choice(ordinary, rng.integers(low, high)).tolist()
    request = ids(4, 5)
    side = lambda n: {"response": ids(5, 12), "critiques": [ids(3, 10) + [eos] for _ in range(n)]}
    pairs = [
        {"prompt": ids(6, 12), "chosen": side(n_chosen), "rejected": side(n_rejected)}
        for n_chosen, n_rejected in N_CRITIQUES
    ]
    return request, pairs


class RewardModel(torch.nn.Module):
    """A causal language model and a reward head without bias."""

    def __init__(self, folder, seed):
        super().__init__()
        self.lm = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        self.reward_head = torch.nn.Linear(self.lm.config.hidden_size, 1, bias=False)
        with torch.no_grad():
            self.reward_head.weight.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(seed))

    def named(self):
        """Every parameter once, by its Hugging Face name."""
        return {name.removeprefix("lm."): weight for name, weight in self.named_parameters()}

    def read(self, ids, n_targets):
        """Reward at the last token, and the cross entropy summed over the last `n_targets` tokens."""
        hidden = self.lm.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0]
        reward = self.reward_head(hidden[-1]).squeeze(-1)
        if n_targets == 0:
            return reward, None
        logits = self.lm.lm_head(hidden[-n_targets - 1 : -1])
        cap = getattr(self.lm.config, "final_logit_softcapping", None)
        if cap is not None:
            logits = cap * torch.tanh(logits / cap)
        return reward, F.cross_entropy(logits, torch.tensor(ids[-n_targets:]), reduction="sum")


def preference_loss(rewards):
    """Mean over pairs of the mean over combinations; the shorter side's critiques come round again."""
    pairs = []
    for chosen, rejected in rewards:
        n = max(len(chosen), len(rejected))
        gaps = [chosen[i % len(chosen)] - rejected[i % len(rejected)] for i in range(n)]
        pairs.append(torch.stack([F.softplus(-gap) for gap in gaps]).mean())
    return torch.stack(pairs).mean()


def with_critiques(model, request, pairs):
    rewards, nats, n_tokens = [], [], 0
    for pair in pairs:
        sides = []
        for side in (pair["chosen"], pair["rejected"]):
            out = []
            for critique in side["critiques"]:
                ids = pair["prompt"] + side["response"] + request + critique
                reward, loss = model.read(ids, len(critique))
                out.append(reward)
                nats.append(loss)
                n_tokens += len(critique)
            sides.append(out)
        rewards.append(sides)
    critique, preference = torch.stack(nats).sum() / n_tokens, preference_loss(rewards)
    return rewards, critique, preference, n_tokens


def scalar(model, pairs):
    rewards = [
        [[model.read(pair["prompt"] + pair[side]["response"], 0)[0]] for side in ("chosen", "rejected")]
        for pair in pairs
    ]
    return rewards, preference_loss(rewards)


def gradients(model, loss):
    """d loss / d parameter for every parameter that the loss reaches."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named().items() if weight.grad is not None}


def numbers(rewards):
    return [[[reward.detach() for reward in side] for side in pair] for pair in rewards]


def adamw_losses(model, request, pairs):
    """The convex loss before each of ten steps; matrices decay, vectors do not."""
    weights = list(model.named().values())
    optimizer = torch.optim.AdamW(
        [
            {"params": [w for w in weights if w.dim() == 2], "weight_decay": WEIGHT_DECAY},
            {"params": [w for w in weights if w.dim() != 2], "weight_decay": 0.0},
        ],
        **ADAMW,
    )
    losses = []
    for _ in range(STEPS):
        _, critique, preference, _ = with_critiques(model, request, pairs)
        loss = LAM * critique + (1 - LAM) * preference
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def losses(folder, seed, vocabulary):
    """Tensors and numbers of a model's losses."""
    model = RewardModel(folder, seed)
    request, pairs = draw_pairs(seed, vocabulary, model.lm.config.eos_token_id)
    tensors = {"reward_head.weight": model.reward_head.weight.detach().clone()}

    rewards, critique, preference, n_tokens = with_critiques(model, request, pairs)
    convex = LAM * critique + (1 - LAM) * preference
    joint = gradients(model, convex)
    assert joint.keys() == model.named().keys()
    scalar_rewards, scalar_preference = scalar(model, pairs)
    plain = gradients(model, scalar_preference)
    tensors |= {f"joint.{key}": value for key, value in joint.items()}
    tensors |= {f"scalar.{key}": value for key, value in plain.items()}

    adamw = adamw_losses(model, request, pairs)
    tensors |= {
        f"after_adamw.{key}": value.detach().clone() for key, value in model.named().items()
        if value.dim() == 1 or key in ("reward_head.weight", "model.layers.0.self_attn.k_proj.weight")
    }
    return {key: value.contiguous() for key, value in tensors.items()}, {
        "model": folder.name,
        "request": request,
        "pairs": pairs,
        "n_critique_tokens": n_tokens,
        "lam": LAM,
        "critique_loss": critique,
        "preference_loss": preference,
        "convex_loss": convex,
        "additive_loss": preference + LAM * critique,
        "rewards": numbers(rewards),
        "scalar": {"preference_loss": scalar_preference, "rewards": numbers(scalar_rewards)},
        "adamw": {
            "lr": ADAMW["lr"], "beta1": ADAMW["betas"][0], "beta2": ADAMW["betas"][1], "eps": ADAMW["eps"],
            "weight_decay": WEIGHT_DECAY, "losses": adamw,
        },
        "gradient_norms": {
            case: {key.removeprefix(f"{case}."): value.norm() for key, value in tensors.items() if key.startswith(f"{case}.")}
            for case in ("joint", "scalar")
        },
    }


def main(name, seed, vocabulary):
    tensors, value = losses(GOLDEN / name, seed, vocabulary)
    save_file(tensors, GOLDEN / f"joint_loss_{name}.safetensors")
    write_json(f"joint_loss_{name}.json", value)


if __name__ == "__main__":
    main("tiny_llama", 11, 512)
    main("tiny_qwen2", 12, 506)
