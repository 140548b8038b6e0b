"""The preference loss and its derivatives by PyTorch's autograd in f64.

usage: preference_loss.py
"""

from itertools import product

import torch
from golden import write_json
from torch.nn.functional import logsigmoid

REWARDS = [(0.0, 0.0), (1.5, -0.25), (-2.0, 3.0), (40.0, -40.0), (-40.0, 40.0)]
MARGINS = [0.0, 0.5, 3.0]
SMOOTHING = [0.0, 0.1]
CENTERING = [0.0, 0.01]


def row(kind, rewards, margin, smoothing, centering):
    chosen, rejected = (torch.tensor(r, dtype=torch.float64, requires_grad=True) for r in rewards)
    difference = chosen - rejected - (margin if kind == "subtract" else 0.0)
    loss = -(1 - smoothing) * logsigmoid(difference) - smoothing * logsigmoid(-difference)
    loss = loss * (margin if kind == "scale" else 1.0) + centering * (chosen + rejected) ** 2
    loss.backward()
    return {
        "kind": kind, "chosen": rewards[0], "rejected": rewards[1], "margin": margin,
        "smoothing": smoothing, "centering": centering, "loss": loss.item(),
        "chosen_slope": chosen.grad.item(), "rejected_slope": rejected.grad.item(),
    }


grid = product(["ignore", "subtract", "scale"], REWARDS, MARGINS, SMOOTHING, CENTERING)
write_json("preference_loss.json", {"torch": torch.__version__, "rows": [row(*point) for point in grid]})
