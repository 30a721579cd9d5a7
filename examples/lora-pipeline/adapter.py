"""A model with a LoRA adapter on it: by unsloth where there are a GPU and unsloth, else by PEFT."""

import importlib.util
from pathlib import Path
from typing import Any

import torch

UNSLOTH = torch.cuda.is_available() and importlib.util.find_spec("unsloth") is not None
if UNSLOTH:
    from unsloth import FastLanguageModel  # before transformers and PEFT, which it changes

from peft import LoraConfig, get_peft_model, set_peft_model_state_dict  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MAX_TOKENS = 4096


class Lora:
    """The model in folder `base`, called `name`, with a new adapter, or the one in folder `start`."""

    def __init__(self, base: Path, name: str, start: Path | None) -> None:
        torch.manual_seed(3407)
        self.model, self.tokenizer = _by_unsloth(base) if UNSLOTH else _by_peft(base)
        self.model.peft_config["default"].base_model_name_or_path = name
        self._use_cache = self.model.config.use_cache
        if start:
            set_peft_model_state_dict(self.model, load_file(start / "adapter_model.safetensors"))

    def save(self, folder: Path) -> None:
        """The adapter alone, with the tokenizer."""
        self.model.save_pretrained(
            folder, save_embedding_layers=False
        )  # else it asks the hub whether they were changed
        self.tokenizer.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's form, with nothing filled in

    def save_fused(self, folder: Path) -> None:
        """The model with the adapter added to its weights, in 16 bits; this object is of no use afterwards."""
        self.model.config.use_cache = self._use_cache  # Trainer turns it off
        if UNSLOTH:
            self.model.save_pretrained_merged(str(folder), self.tokenizer, save_method="merged_16bit")
            return
        self.model.merge_and_unload().to(torch.bfloat16).save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def _by_unsloth(base: Path) -> tuple[Any, Any]:
    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=str(base), max_seq_length=MAX_TOKENS, dtype=None, load_in_4bit=False
    )
    model = FastLanguageModel.get_peft_model(
        model, r=16, target_modules=LAYERS, lora_alpha=16, lora_dropout=0, bias="none",
        use_gradient_checkpointing="unsloth", random_state=3407,
    )  # fmt: skip
    return model, tokenizer


def _by_peft(base: Path) -> tuple[Any, Any]:
    half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    model = AutoModelForCausalLM.from_pretrained(base, dtype=half if torch.cuda.is_available() else torch.float32)
    config = LoraConfig(r=16, target_modules=LAYERS, lora_alpha=16, lora_dropout=0, bias="none", task_type="CAUSAL_LM")
    return get_peft_model(model, config), AutoTokenizer.from_pretrained(base)
