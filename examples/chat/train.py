"""Chat: fine-tunes all weights of a language model on conversations, with Transformers' Trainer, with DeepSpeed's ZeRO.

The loss is that of the assistant's turns alone. One process, or several by torchrun. It stops and goes on: a checkpoint
in --out is picked up where it ended. The result is a folder that serving engines read.
"""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}


def arguments() -> argparse.Namespace:
    """The command line; every default fits one CPU core for half a minute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="toy", help="with a chat template: of the hub, a folder, or toy")
    parser.add_argument("--dataset", default="toy", help="conversations: of the hub, a file *.json, or toy")
    parser.add_argument("--steps", type=int, default=300, help="steps in total, those before a resume included")
    parser.add_argument("--batch", type=int, default=16, help="conversations at a time and process")
    parser.add_argument("--gather", type=int, default=1, help="so many batches make a step")
    parser.add_argument(
        "--lr", type=float, default=5e-3, help="highest learning rate; 2e-5 for a model that knows much"
    )
    parser.add_argument("--length", type=int, default=2048, help="tokens of a conversation at most")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of checkpoints, and of the model")
    parser.add_argument("--save-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--deepspeed", metavar="CONFIG", help="train with DeepSpeed and this configuration")
    given = parser.parse_args()
    if min(given.steps, given.batch, given.gather, given.save_every) < 1:
        parser.error("--steps, --batch, --gather and --save-every are at least 1")
    return given


def main() -> None:
    """Train, and keep the model."""
    given = arguments()
    print(f"rank {os.environ.get('RANK', '0')} of {os.environ.get('WORLD_SIZE', '1')} is here", flush=True)
    import torch
    from checkpoints import Noted, newest_whole
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments, set_seed
    from transformers.trainer_callback import PrinterCallback
    from transformers.utils import logging

    logging.disable_progress_bar()
    set_seed(1)
    if given.model == "toy":
        torch.set_num_threads(1)  # a toy has nothing to share out
    cuda = torch.cuda.is_available()
    odd = bool(given.deepspeed) and not cuda
    if odd:
        import deepspeed_on_cpu

        deepspeed_on_cpu.before_arguments()
    args = TrainingArguments(
        output_dir=str(given.out),
        max_steps=given.steps,
        per_device_train_batch_size=given.batch,
        gradient_accumulation_steps=given.gather,
        learning_rate=given.lr,
        lr_scheduler_type="cosine",
        warmup_steps=given.steps * 3 // 100,
        logging_steps=max(1, min(given.save_every // 5, 10)),
        save_steps=given.save_every,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        gradient_checkpointing=cuda,
        deepspeed=given.deepspeed,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
        use_cpu=not (cuda or given.deepspeed),
    )
    if odd:
        deepspeed_on_cpu.after_arguments(args.distributed_state)
    model, tokenizer = model_of(given.model)
    with args.main_process_first():  # of each node; its others read what that one kept
        train = data_of(given.dataset, tokenizer, given.length)
    if args.process_index == 0:
        learnt = sum(label >= 0 for labels in train[:1000]["labels"] for label in labels)
        read = sum(map(len, train[:1000]["labels"]))
        print(f"{len(train)} conversations, {model.num_parameters()} weights", flush=True)
        print(f"{learnt} of {read} tokens are the assistant's, and learnt", flush=True)
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=train,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
        processing_class=tokenizer,
        callbacks=[Noted(keep=2)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=newest_whole(given.out))
    trainer.save_model(str(given.out / "model"))
    if args.process_index == 0:
        print(f"the model is in {given.out / 'model'}", flush=True)


def model_of(name: str) -> tuple[Any, Any]:
    """The model of that name, and its tokenizer; ends the program where that has no chat template."""
    if name == "toy":
        import toy

        tokenizer = toy.tokenizer()
        return toy.model(tokenizer), tokenizer
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    if not tokenizer.chat_template:
        raise SystemExit(f"{name} has no chat template: choose a model that was made for chats")
    return AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32), tokenizer


def data_of(name: str, tokenizer: Any, length: int) -> Any:
    """The conversations of that name as tokens, without those of which nothing would be learnt."""
    import conversations
    from datasets import load_dataset

    if name == "toy":
        import toy

        rows = toy.data()
    elif name.endswith(".json"):
        rows = load_dataset("json", data_files=name, split="train")
    else:
        rows = load_dataset(name, split="train")
    chats = conversations.column(rows.column_names)

    def read(row: dict[str, Any]) -> dict[str, list[int]]:
        return conversations.tokens(tokenizer, conversations.messages(row[chats]), length)

    found = rows.map(read, remove_columns=rows.column_names)
    return found.filter(lambda row: max(row["labels"], default=-1) >= 0)


if __name__ == "__main__":
    main()
