"""The standard form of a conversation: a list of {role, content}. Other formats than ShareGPT's would be read here."""

from typing import Any

from datasets import Dataset, Features, Value

FEATURES = Features({"conversations": [{"role": Value("string"), "content": Value("string")}]})
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}
COLUMNS = ("conversations", "messages")
BATCH = 200
"""Examples that are in memory at a time."""


def standardize_dataset(shard: Dataset) -> Dataset:
    """The shard with its conversations alone, in standard form; ends the program where it has none."""
    column = next((name for name in COLUMNS if name in shard.column_names), None)
    if column is None:
        raise SystemExit(
            f"no column {' or '.join(COLUMNS)} in the data set, but {', '.join(shard.column_names)}: see standard.py"
        )
    return shard.map(
        _batch, batched=True, batch_size=BATCH, writer_batch_size=BATCH,
        input_columns=[column], remove_columns=shard.column_names, features=FEATURES,
    )  # fmt: skip


def _batch(conversations: list[list[dict[str, Any]]]) -> dict[str, Any]:
    return {"conversations": [[_turn(turn) for turn in turns] for turns in conversations]}


def _turn(turn: dict[str, Any]) -> dict[str, str]:
    role = turn.get("from") or turn.get("role") or ""
    content = turn.get("value") if "value" in turn else turn.get("content")
    if role not in ROLES or content is None:
        raise SystemExit(f"a turn of a conversation is in no form known here: {str(turn)[:100]}; see standard.py")
    return {"role": ROLES[role], "content": content}
