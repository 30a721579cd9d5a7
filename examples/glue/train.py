"""Text classification: fine-tunes a model on a task of GLUE with Transformers' Trainer, or on a toy made on the spot.

One process, several by torchrun, or several by DeepSpeed's launcher (with --deepspeed), unchanged. It stops and goes
on: a checkpoint in --out is picked up where it ended.
"""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}

TEXTS = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "qnli": ("question", "sentence"),
}
"""The columns with the text, of each of GLUE's tasks that have two labels and one set to try the result on."""


def arguments() -> argparse.Namespace:
    """The command line; every default fits one CPU core for a few seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="toy", help="of the hub, a folder, or toy")
    parser.add_argument("--task", default="toy", help=f"of GLUE: {', '.join(TEXTS)}; or toy")
    parser.add_argument("--steps", type=int, default=40, help="steps in total, those before a resume included")
    parser.add_argument("--batch", type=int, default=16, help="texts a step and process")
    parser.add_argument(
        "--lr", type=float, default=2e-3, help="highest learning rate; 2e-5 for a model that knows much"
    )
    parser.add_argument("--length", type=int, default=128, help="tokens of a text at most")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of checkpoints")
    parser.add_argument("--save-every", type=int, default=20, metavar="STEPS")
    parser.add_argument("--deepspeed", metavar="CONFIG", help="train with DeepSpeed and this configuration")
    parser.add_argument("--local_rank", type=int, help=argparse.SUPPRESS)  # DeepSpeed's launcher passes it
    given = parser.parse_args()
    if min(given.steps, given.batch, given.save_every) < 1:
        parser.error("--steps, --batch and --save-every are at least 1")
    if given.task not in (*TEXTS, "toy"):
        parser.error(f"--task {given.task}: one of toy, {', '.join(TEXTS)} is wanted")
    return given


def main() -> None:
    """Train, try the result on texts that were not trained on, and keep it."""
    given = arguments()
    print(f"rank {os.environ.get('RANK', '0')} of {os.environ.get('WORLD_SIZE', '1')} is here", flush=True)
    import torch
    from checkpoints import Noted, newest_whole
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, set_seed
    from transformers.trainer_callback import PrinterCallback
    from transformers.utils import logging

    logging.disable_progress_bar()
    set_seed(1)
    if given.model == "toy":
        torch.set_num_threads(1)  # a toy has nothing to share out
    odd = bool(given.deepspeed) and not torch.cuda.is_available()
    if odd:
        import deepspeed_on_cpu

        deepspeed_on_cpu.before_arguments()
    args = TrainingArguments(
        output_dir=str(given.out),
        max_steps=given.steps,
        per_device_train_batch_size=given.batch,
        per_device_eval_batch_size=4 * given.batch,
        learning_rate=given.lr,
        warmup_steps=given.steps * 6 // 100,
        logging_steps=max(1, min(given.save_every // 4, 50)),
        save_steps=given.save_every,
        bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        deepspeed=given.deepspeed,
        report_to="none",
        disable_tqdm=True,
        use_cpu=not (torch.cuda.is_available() or given.deepspeed),
        ddp_find_unused_parameters=False,
        average_tokens_across_devices=False,  # or the loss is that of all ranks added up
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    if odd:
        deepspeed_on_cpu.after_arguments(args.distributed_state)
    model, tokenizer = model_of(given.model)
    columns = TEXTS.get(given.task, ("sentence",))

    def encode(rows: dict[str, Any]) -> Any:
        return tokenizer(*(rows[name] for name in columns), truncation=True, max_length=given.length)

    with args.main_process_first():  # of each node; its others read what that one kept
        data = data_of(given.task)
        data = data.map(encode, batched=True, remove_columns=[*columns])
    train, trial = data["train"], data["validation"]
    if args.process_index == 0:
        print(
            f"{len(train)} texts to train on, {len(trial)} to try it on, {model.num_parameters()} weights", flush=True
        )
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=train,
        eval_dataset=trial,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=score,
        callbacks=[Noted(keep=3)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=newest_whole(given.out))
    found = trainer.evaluate()
    trainer.save_model(str(given.out / "model"))
    if args.process_index == 0:
        print(
            f"accuracy {found['eval_accuracy']:.3f}, the commoner label alone {found['eval_commoner']:.3f}", flush=True
        )
        print(f"the model is in {given.out / 'model'}", flush=True)


def model_of(name: str) -> tuple[Any, Any]:
    """The model of that name, with a new head for two labels, and its tokenizer."""
    if name == "toy":
        import toy

        tokenizer = toy.tokenizer()
        return toy.model(2, len(tokenizer)), tokenizer
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    return AutoModelForSequenceClassification.from_pretrained(name, num_labels=2), AutoTokenizer.from_pretrained(name)


def data_of(task: str) -> Any:
    """The task's data set, with the columns of its texts and `label`."""
    if task == "toy":
        import toy

        return toy.data()
    from datasets import load_dataset

    return load_dataset("nyu-mll/glue", task)


def score(seen: Any) -> dict[str, float]:
    """How many labels are right, and how many were if it always said the commoner one."""
    right = (seen.predictions.argmax(axis=-1) == seen.label_ids).mean()
    share = float(seen.label_ids.mean())
    return {"accuracy": float(right), "commoner": max(share, 1 - share)}


if __name__ == "__main__":
    main()
