"""The trained model as Hugging Face's programs read it: GPT-2's layout, to which this model's weights map one to one.

A folder with config.json, model.safetensors, the tokenizer (one token a character) and a chat template, which every
serving engine that knows GPT-2 can serve. Only the weights need a package: safetensors.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from data import UNKNOWN
from model import GPT, Sizes
from torch import Tensor

FOLDER = "huggingface"
"""Its name beside the checkpoints, where SKYRIG_MODEL_DIR names no other place."""

_TURN = "{% set text = messages | map(attribute='content') | join('\\n') %}{{ text[-LIMIT:] }}"
"""What a conversation is to a model that only goes on with a text: the text itself, its end if it is long."""


def save(model: GPT, vocabulary: str, folder: Path) -> None:
    """Write the model to `folder`: beside it first, then into its place. ImportError without safetensors."""
    from safetensors.torch import save_file

    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name, content in documents(model.sizes, vocabulary).items():
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (beside / name).write_text(text + "\n", encoding="utf-8")
    save_file(weights(model), beside / "model.safetensors", metadata={"format": "pt"})
    before = folder.with_name(f".{folder.name}.{os.getpid()}.before")
    if folder.exists():
        folder.replace(before)
    beside.replace(folder)
    shutil.rmtree(before, ignore_errors=True)


def weights(model: GPT) -> dict[str, Tensor]:
    """The weights under GPT-2's names. Its linear layers hold them the other way round, and all have a bias."""
    found = {
        "transformer.wte.weight": model.token.weight,
        "transformer.wpe.weight": model.position.weight,
        **_pair("transformer.ln_f", model.norm.weight, model.norm.bias),
    }
    for number, block in enumerate(model.blocks):
        name = f"transformer.h.{number}"
        for norm, layer in (("ln_1", block.before_attention), ("ln_2", block.before_network)):
            found |= _pair(f"{name}.{norm}", layer.weight, layer.bias)
        linear = {
            "attn.c_attn": block.attention.to_qkv,
            "attn.c_proj": block.attention.out,
            "mlp.c_fc": block.network[0],
            "mlp.c_proj": block.network[2],
        }
        for part, layer in linear.items():
            bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_features)
            found |= _pair(f"{name}.{part}", layer.weight.t(), bias)
    return {name: value.detach().float().cpu().contiguous().clone() for name, value in found.items()}


def _pair(name: str, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def documents(sizes: Sizes, vocabulary: str) -> dict[str, Any]:
    """The folder's JSON files by name."""
    return {
        "config.json": _config(sizes),
        "generation_config.json": {"do_sample": True, "temperature": 0.8},
        "tokenizer.json": _tokenizer(vocabulary),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": sizes.context,
            "clean_up_tokenization_spaces": False,
            "chat_template": _TURN.replace("LIMIT", str(sizes.context // 2)),
        },
    }


def _config(sizes: Sizes) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": sizes.vocabulary,
        "n_positions": sizes.context,
        "n_embd": sizes.width,
        "n_layer": sizes.layers,
        "n_head": sizes.heads,
        "activation_function": "gelu",
        "layer_norm_epsilon": 1e-5,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "dtype": "float32",
    }


def _tokenizer(vocabulary: str) -> dict[str, Any]:
    """One token a character, for Hugging Face's `tokenizers`: a list of words that are single characters."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False},
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {char: number for number, char in enumerate(vocabulary)},
            "unk_token": UNKNOWN,
        },
    }
