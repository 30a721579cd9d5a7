"""Tokens a second, out of what engines count. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from attrs import frozen

from skyrig.serve.metrics import exposition

COUNTERS = (
    "vllm:generation_tokens_total",
    "sglang:generation_tokens_total",
    "tgi_request_generated_tokens_sum",
    "llamacpp:tokens_predicted_total",
    "skyrig_generated_tokens_total",
)
"""What engines call the number of tokens that they generated since they began: vLLM, SGLang, Text Generation Inference
(the sum of a histogram), llama.cpp's server, and transformers as Skyrig serves it."""


@frozen
class Reading:
    """How many tokens an engine had generated at a moment, in seconds of any steady clock."""

    at: float
    tokens: float


def generated(text: str) -> float | None:
    """Tokens that the engine with these metrics has generated since it began, over all that it serves; None where it
    does not tell."""
    samples = [sample for family in exposition.families(text) for sample in family.samples]
    for counter in COUNTERS:
        counts = [sample.number for sample in samples if sample.name == counter and math.isfinite(sample.number)]
        if counts:
            return sum(counts)
    return None


def rate(readings: Sequence[Reading]) -> float | None:
    """Tokens a second between the first and the last of readings in their order; None where there is no time between
    them. A count that fell is of an engine that began anew, from none."""
    if len(readings) < 2 or readings[-1].at <= readings[0].at:
        return None
    grown = sum(
        later.tokens - (earlier.tokens if later.tokens >= earlier.tokens else 0.0)
        for earlier, later in pairwise(readings)
    )
    return grown / (readings[-1].at - readings[0].at)
