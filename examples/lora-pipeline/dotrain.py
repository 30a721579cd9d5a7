"""Trains a LoRA adapter on every shard for one epoch, and saves it, and the model with it fused in, to done/.

The adapter goes on from shard to shard, and is kept in the bucket after each: a run that was ended goes on after the
last shard that is whole. Where there are a GPU and unsloth, unsloth trains.
"""

import tempfile
from pathlib import Path
from typing import Any

from bucket import Bucket, setting


def train(lora: Any, shard: Any, number: int) -> None:
    """One epoch of this shard; the adapter in `lora` is changed by it."""
    import torch
    from transformers import Trainer, TrainingArguments, set_seed

    def collate(rows: list[dict[str, Any]]) -> Any:
        batch = lora.tokenizer.pad([{"input_ids": row["input_ids"]} for row in rows], return_tensors="pt")
        batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        return batch

    gpu = torch.cuda.is_available()
    half = gpu and torch.cuda.is_bf16_supported()
    set_seed(3407 + number)
    with tempfile.TemporaryDirectory(prefix="trainer-") as out:
        arguments = TrainingArguments(
            output_dir=out, num_train_epochs=1, per_device_train_batch_size=2, gradient_accumulation_steps=4,
            learning_rate=2e-4, lr_scheduler_type="linear", warmup_steps=5, weight_decay=0.01, logging_steps=10,
            seed=3407 + number, use_cpu=not gpu, bf16=half, fp16=gpu and not half, save_strategy="no",
            report_to="none", dataloader_pin_memory=gpu, remove_unused_columns=False, disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(lora.model, arguments, train_dataset=shard, data_collator=collate)
        print(f"shard {number}: {trainer.train()}", flush=True)


def last_adapter(bucket: Bucket, done: str, count: int) -> tuple[str, int]:
    """The folder of the adapter to go on with, "" for a new one, and the number of the shard that it wants next."""
    if bucket.facts(f"{done}/lora_model"):
        return f"{done}/lora_model", count
    for number in reversed(range(count)):
        if bucket.facts(f"{done}/shards/{number}"):
            return f"{done}/shards/{number}", number + 1
    return "", 0


def keep(bucket: Bucket, save: Any, folder: str) -> None:
    """Have in `folder` of the bucket what `save` puts into the folder that it is given."""
    with tempfile.TemporaryDirectory(prefix="keep-") as local:
        save(Path(local))
        bucket.publish(Path(local), folder)


def main() -> None:
    """Train what is not trained yet."""
    bucket, dataset, model = Bucket(), setting("DATASET_NAME"), setting("MODEL_NAME")
    done, ready = f"done/{model}/{dataset}", f"model-ready/{model}/{dataset}"
    if bucket.facts(f"{done}/fused"):
        bucket.remove(f"{done}/shards")  # what a run that was ended in its last moment left
        print(f"{model} is trained on {dataset} already")
        return
    info = bucket.facts(ready, "info.json")
    if not info:
        raise SystemExit(f"{dataset} is not ready for {model}: run pretokenize.py first")
    from adapter import Lora

    count = info["count"] + 1
    start, first = last_adapter(bucket, done, count)
    mount = bucket.mount()
    lora = Lora(mount / "models" / model, model, mount / start if start else None)
    for number in range(first, count):
        with tempfile.TemporaryDirectory(prefix="shard-") as scratch:
            train(lora, bucket.load(f"{ready}/{number}", Path(scratch)), number)
        keep(bucket, lora.save, f"{done}/shards/{number}")
    if start != f"{done}/lora_model":
        keep(bucket, lora.save, f"{done}/lora_model")
    keep(bucket, lora.save_fused, f"{done}/fused")
    bucket.remove(f"{done}/shards")
    print(f"the adapter is in {bucket.url(done)}/lora_model, the model with it in {bucket.url(done)}/fused")


if __name__ == "__main__":
    main()
