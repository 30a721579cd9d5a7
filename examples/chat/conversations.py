"""Conversations as a model reads them, and which of their tokens it shall learn: those that the assistant says."""

from collections.abc import Sequence
from typing import Any

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
COLUMNS = ("conversations", "messages")
IGNORED = -100
"""The label of a token that is not learnt."""


def column(names: Sequence[str]) -> str:
    """Which of a data set's columns has the conversations; ends the program where none has."""
    found = [name for name in COLUMNS if name in names]
    if not found:
        raise SystemExit(f"the data set has no column {' or '.join(COLUMNS)}, but {', '.join(names)}")
    return found[0]


def messages(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Turns in ShareGPT's form or OpenAI's, in the latter."""
    plain = [(turn.get("from") or turn["role"], turn.get("value") or turn.get("content") or "") for turn in turns]
    unknown = {role for role, _ in plain} - ROLES.keys()
    if unknown:
        raise SystemExit(f"turns of {', '.join(sorted(unknown))} are in no form known here; see conversations.py")
    return [{"role": ROLES[role], "content": text} for role, text in plain]


def tokens(tokenizer: Any, said: list[dict[str, str]], length: int) -> dict[str, list[int]]:
    """The conversation by the tokenizer's chat template, `length` tokens at most; labels are IGNORED but for what the
    assistant says, its end of turn included. ValueError where the template changes what it wrote for earlier turns."""
    whole = _text(tokenizer, said)
    learnt = []
    for at, message in enumerate(said):
        if message["role"] == "assistant":
            before, after = _text(tokenizer, said[:at], add_generation_prompt=True), _text(tokenizer, said[: at + 1])
            if not (after.startswith(before) and whole.startswith(after)):
                raise ValueError("the chat template changes earlier turns: it cannot be told what the assistant said")
            learnt.append((len(before), len(after)))
    read = tokenizer(
        whole, add_special_tokens=False, truncation=True, max_length=length, return_offsets_mapping=True
    )  # fmt: skip
    labels = [
        number if any(start <= first and last <= end for start, end in learnt) else IGNORED
        for number, (first, last) in zip(read["input_ids"], read["offset_mapping"], strict=True)
    ]
    return {"input_ids": read["input_ids"], "attention_mask": read["attention_mask"], "labels": labels}


def _text(tokenizer: Any, said: list[dict[str, str]], **more: bool) -> str:
    return str(tokenizer.apply_chat_template(said, tokenize=False, **more))
