"""The random numbers of this process: Python's, numpy's where the program uses it, torch's, and its own GPU's."""

from __future__ import annotations

import random
import sys
from typing import Any

import torch


def state() -> dict[str, Any]:
    """Where all generators stand, as plain values and tensors."""
    found: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        name, keys, *rest = numpy.random.get_state()
        found["numpy"] = [str(name), [int(key) for key in keys], int(rest[0]), int(rest[1]), float(rest[2])]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def restore(found: dict[str, Any]) -> None:
    """Put them back to where `state` found them; numpy's and the GPU's only where there are such."""
    random.setstate(found["python"])
    torch.set_rng_state(found["torch"])
    if "numpy" in found:
        try:
            import numpy
        except ModuleNotFoundError:
            pass
        else:
            name, keys, *rest = found["numpy"]
            numpy.random.set_state((name, numpy.array(keys, dtype=numpy.uint32), *rest))
    if "cuda" in found and torch.cuda.is_available():
        torch.cuda.set_rng_state(found["cuda"])
