"""Copies the data set DATASET_NAME to the bucket, shard by shard: as it is (raw/) and in standard form (standardized/).

It is streamed: a batch of examples is in memory, a shard of up to SHARD_SIZE examples on the local disk. A run that
was ended goes on after the last shard that is whole.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["USE_TORCH"] = "0"  # datasets would load it: 0.5 GB for nothing

import pyarrow as pa
import synthetic
from bucket import Bucket, setting
from datasets import Dataset, IterableDataset, load_dataset
from datasets.arrow_writer import ArrowWriter
from standard import BATCH, standardize_dataset

SHARD_SIZE = int(os.environ.get("SHARD_SIZE") or 5_000_000)


def stream(name: str) -> IterableDataset:
    """The data set of that name, nothing of it read yet."""
    return (
        synthetic.stream(name)
        if name.startswith(synthetic.PREFIX)
        else load_dataset(name, split="train", streaming=True)
    )


def shards(source: IterableDataset, scratch: Path) -> Iterator[Dataset]:
    """The examples of `source` in files of SHARD_SIZE below `scratch`; each is removed when the next is asked for."""
    batches = source.with_format("arrow").iter(BATCH)
    rest: pa.Table | None = next(batches, None)
    schema = rest.schema if rest is not None else None
    while rest is not None:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            file, rows = str(Path(folder, "shard.arrow")), 0
            with ArrowWriter(path=file, schema=schema) as writer:
                while rest is not None and rows < SHARD_SIZE:
                    piece = rest.slice(0, SHARD_SIZE - rows).cast(schema)
                    writer.write_table(piece)
                    rows += len(piece)
                    rest = rest.slice(len(piece)) if len(piece) < len(rest) else next(batches, None)
                writer.finalize()
            yield Dataset.from_file(file)


def main() -> None:
    """Import what is not there yet."""
    bucket, name = Bucket(), setting("DATASET_NAME")
    if bucket.facts(f"raw/{name}", "info.json"):
        print(f"{name} is imported already")
        return
    examples = number = 0
    with tempfile.TemporaryDirectory(prefix="import-") as folder:
        while done := bucket.facts(f"raw/{name}/{number}"):
            if not bucket.facts(f"standardized/{name}/{number}"):
                with tempfile.TemporaryDirectory(dir=folder) as scratch:
                    raw = bucket.load(f"raw/{name}/{number}", Path(scratch))
                    bucket.save(standardize_dataset(raw), f"standardized/{name}/{number}")
            examples, number = examples + done["examples"], number + 1
        for shard in shards(stream(name).skip(examples), Path(folder)):
            bucket.save(shard, f"raw/{name}/{number}")
            bucket.save(standardize_dataset(shard), f"standardized/{name}/{number}")
            examples, number = examples + len(shard), number + 1
            print(f"shard {number - 1} of {name}: {len(shard)} examples", flush=True)
    if not examples:
        raise SystemExit(f"no examples in {name}")
    bucket.note(
        f"raw/{name}", {"count": number - 1, "examples": examples}, "info.json"
    )  # count: the last shard's number


if __name__ == "__main__":
    main()
