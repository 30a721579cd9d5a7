"""Copies the model MODEL_NAME and its tokenizer to models/ of the bucket."""

import tempfile
from pathlib import Path

import synthetic
from bucket import Bucket, setting


def main() -> None:
    """Import it, if it is not there."""
    bucket, name = Bucket(), setting("MODEL_NAME")
    if bucket.facts(f"models/{name}"):
        print(f"{name} is imported already")
        return
    bucket.mount()  # or none of the following is of use
    if name.startswith(synthetic.PREFIX):
        model, tokenizer = synthetic.model(name)
    else:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(name, dtype="auto")
        tokenizer = AutoTokenizer.from_pretrained(name)
    if not tokenizer.chat_template:
        raise SystemExit(f"{name} has no chat template: choose a model that was made for chats")
    with tempfile.TemporaryDirectory(prefix="import-") as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        bucket.publish(Path(folder), f"models/{name}")
    print(f"model {name}: {model.num_parameters()} weights")


if __name__ == "__main__":
    main()
