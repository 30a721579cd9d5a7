"""The text: the sources of Python's standard library, which every machine that can run this has."""

import math
import sysconfig
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

UNKNOWN = "\ufffd"
"""Stands for every character too rare for the vocabulary."""

_LARGEST_VOCABULARY = 160
_HELD_OUT = 0.1


def library_text(limit: int) -> str:
    """The library's modules one after the other, in a fixed order, `limit` characters at most."""
    root = Path(sysconfig.get_paths()["stdlib"])
    parts: list[str] = []
    size = 0
    for path in sorted(root.glob("*.py")) + sorted(root.glob("[a-z]*/*.py")):
        if "site-packages" in path.parts or "test" in path.parts:
            continue
        part = path.read_text(encoding="utf-8", errors="replace")[: limit - size]
        parts.append(part)
        size += len(part)
        if size >= limit:
            break
    return "".join(parts)


def vocabulary_of(text: str) -> str:
    """The characters that get a token of their own; the first stands for all others."""
    common = [char for char, _ in Counter(text).most_common(_LARGEST_VOCABULARY) if char != UNKNOWN]
    return UNKNOWN + "".join(sorted(common[: _LARGEST_VOCABULARY - 1]))


def encode(text: str, vocabulary: str) -> Tensor:
    """Token numbers of `text`, one byte each."""
    numbers = {char: number for number, char in enumerate(vocabulary)}
    known = "".join(chr(numbers.get(char, 0)) for char in text)
    return torch.frombuffer(bytearray(known.encode("latin-1")), dtype=torch.uint8)


def unigram_entropy(tokens: Tensor) -> float:
    """Nats a character that are left when only letter frequencies are known: what a model has to beat."""
    shares = torch.bincount(tokens.long()).double() / len(tokens)
    shares = shares[shares > 0]
    return -float((shares * shares.log()).sum()) if len(tokens) else math.nan


def split(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Text to train on, and the end of the text, which is held out to measure on."""
    cut = int(len(tokens) * (1 - _HELD_OUT))
    return tokens[:cut], tokens[cut:]


def batch(tokens: Tensor, size: int, context: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`size` random windows and the same windows one character later. The same seed gives the same windows, which is
    what lets a resumed run go on exactly as if it had never stopped."""
    dice = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(tokens) - context - 1, (size, 1), generator=dice)
    windows = tokens[starts + torch.arange(context + 1)].long()
    return windows[:, :-1].to(device), windows[:, 1:].to(device)
