"""An adapter folder that PEFT itself saves over a classifier, and the rewards it gives; or the rewards of one of ours.

usage: peft_adapter.py           (after tiny_models.py; needs peft)
       peft_adapter.py FOLDER    (rewards of FOLDER, an adapter that critic-rm wrote over the same model)
"""

import shutil
import sys

from golden import GOLDEN, quiet_torch, write_json

torch = quiet_torch(0)

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification

RANK, ALPHA = 4, 6.0
TARGETS = ["q_proj", "o_proj", "gate_proj", "down_proj"]
SEQUENCES = [[3, 14, 15, 9, 26], [5, 35, 8, 9, 7, 9, 3]]


def base(name):
    model = AutoModelForSequenceClassification.from_pretrained(GOLDEN / name, num_labels=1)
    model.config.pad_token_id = None
    return model


def rewards(model):
    model.eval()
    with torch.no_grad():
        return [model(torch.tensor([tokens])).logits.reshape(()) for tokens in SEQUENCES]


def main(name):
    config = LoraConfig(
        task_type="SEQ_CLS", r=RANK, lora_alpha=ALPHA, use_rslora=True, target_modules=TARGETS
    )
    model = get_peft_model(base(name), config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_" in key or "score" in key:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    folder = GOLDEN / f"peft_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = name
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    write_json(f"peft_{name}_rewards.json", {"sequences": SEQUENCES, "rewards": rewards(model)})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print([float(x) for x in rewards(PeftModel.from_pretrained(base("tiny_llama"), sys.argv[1]))])
    else:
        main("tiny_llama")
