"""Texts to vectors of length 1: by a sentence encoder, or by counting letters, which needs no model."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Sequence

Encoder = Callable[[Sequence[str]], list[list[float]]]
WIDTH = 512


def of(model: str) -> Encoder:
    """The encoder called `model`: `toy`, a name of Hugging Face's hub, or a folder."""
    return _by_letters if model == "toy" else _by_model(model)


def _by_letters(texts: Sequence[str]) -> list[list[float]]:
    """Each run of four letters counts in one of 512 places, up or down as its hash says."""
    vectors = []
    for text in texts:
        vector = [0.0] * WIDTH
        padded = f"  {' '.join(text.lower().split())}  "
        for at in range(len(padded) - 3):
            number = zlib.crc32(padded[at : at + 4].encode())
            vector[number % WIDTH] += 1 if number & 1 << 31 else -1
        length = math.hypot(*vector) or 1
        vectors.append([each / length for each in vector])
    return vectors


def _by_model(model: str) -> Encoder:
    import torch
    from transformers import AutoModel, AutoTokenizer

    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    tokenizer = AutoTokenizer.from_pretrained(model)
    net = AutoModel.from_pretrained(model).to(device).eval()

    @torch.inference_mode()
    def encode(texts: Sequence[str]) -> list[list[float]]:
        """The mean of all tokens' last states."""
        given = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(device)
        there = given["attention_mask"].unsqueeze(-1)
        mean = (net(**given).last_hidden_state * there).sum(1) / there.sum(1)
        found: list[list[float]] = torch.nn.functional.normalize(mean.float()).cpu().tolist()
        return found

    return encode
