"""Chews each shard for MODEL_NAME: conversations by its chat template (`text`), and that as tokens (`input_ids`)."""

import tempfile
from pathlib import Path
from typing import Any

from bucket import Bucket, setting

MAX_TOKENS = 4096
"""What is longer is cut."""


def main() -> None:
    """Chew the shards that are not yet."""
    bucket, dataset, model = Bucket(), setting("DATASET_NAME"), setting("MODEL_NAME")
    ready = f"model-ready/{model}/{dataset}"
    if bucket.facts(ready, "info.json"):
        print(f"{dataset} is ready for {model} already")
        return
    info = bucket.facts(f"raw/{dataset}", "info.json")
    if not info or not bucket.facts(f"models/{model}"):
        raise SystemExit(
            "the data set or the model is not in the bucket: run import-dataset.py and import-model.py first"
        )
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bucket.mount() / "models" / model)

    def prechew(examples: dict[str, Any]) -> dict[str, Any]:
        convos = examples["conversations"]
        texts = [tokenizer.apply_chat_template(convo, tokenize=False, add_generation_prompt=False) for convo in convos]
        tokens = tokenizer(texts, add_special_tokens=False, truncation=True, max_length=MAX_TOKENS)
        return {"text": texts, "input_ids": tokens["input_ids"]}

    for number in range(info["count"] + 1):
        if bucket.facts(f"{ready}/{number}"):
            continue
        with tempfile.TemporaryDirectory(prefix="pretokenize-") as scratch:
            shard = bucket.load(f"standardized/{dataset}/{number}", Path(scratch))
            chewed = shard.map(prechew, batched=True, remove_columns=shard.column_names)
            bucket.save(chewed, f"{ready}/{number}")
            print(f"shard {number}: {len(chewed)} examples", flush=True)
    bucket.note(ready, info, "info.json")


if __name__ == "__main__":
    main()
