"""Question answering: fine-tunes a model on SQuAD with Transformers' Trainer, or on a toy made on the spot.

It stops and goes on: a checkpoint in --out is picked up where it ended, and so is its run in Weights & Biases.
"""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}


def arguments() -> argparse.Namespace:
    """The command line; every default fits one CPU core for half a minute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="toy", help="of the hub, a folder, or toy")
    parser.add_argument("--dataset", default="toy", help="in SQuAD's form, of the hub: rajpurkar/squad; or toy")
    parser.add_argument("--steps", type=int, default=200, help="steps in total, those before a resume included")
    parser.add_argument("--batch", type=int, default=32, help="windows a step and process")
    parser.add_argument(
        "--lr", type=float, default=2e-3, help="highest learning rate; 3e-5 for a model that knows much"
    )
    parser.add_argument("--length", type=int, default=384, help="tokens of a window")
    parser.add_argument("--shared", type=int, default=128, help="tokens that neighbouring windows share")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of checkpoints")
    parser.add_argument("--save-every", type=int, default=20, metavar="STEPS")
    parser.add_argument("--project", default="bert-qa", help="in Weights & Biases; WANDB_MODE=offline sends nothing")
    given = parser.parse_args()
    if min(given.steps, given.batch, given.save_every) < 1:
        parser.error("--steps, --batch and --save-every are at least 1")
    return given


def main() -> None:
    """Train, ask what was not trained on, and keep the model."""
    given = arguments()
    print(f"rank {os.environ.get('RANK', '0')} of {os.environ.get('WORLD_SIZE', '1')} is here", flush=True)
    import torch
    import tracking
    from answers import Windows, read, score
    from checkpoints import Noted, newest_whole
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, set_seed
    from transformers.trainer_callback import PrinterCallback
    from transformers.utils import logging

    logging.disable_progress_bar()
    set_seed(1)
    if given.model == "toy":
        torch.set_num_threads(1)  # a toy has nothing to share out
    tracking.prepare(given.project)
    cuda = torch.cuda.is_available()
    args = TrainingArguments(
        output_dir=str(given.out),
        max_steps=given.steps,
        per_device_train_batch_size=given.batch,
        per_device_eval_batch_size=2 * given.batch,
        learning_rate=given.lr,
        logging_steps=max(1, min(given.save_every // 4, 50)),
        save_steps=given.save_every,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        report_to="wandb",
        run_name=tracking.name(),
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
        use_cpu=not cuda,
        ddp_find_unused_parameters=False,
        average_tokens_across_devices=False,  # or the loss is that of all ranks added up
    )
    model, tokenizer = model_of(given.model)
    windows = Windows(tokenizer, given.length, given.shared)
    with args.main_process_first():  # of each node; its others read what that one kept
        data = data_of(given.dataset)
        names = data["train"].column_names
        train = data["train"].map(windows.to_learn, batched=True, remove_columns=names)
        asked = data["validation"].map(windows.to_ask, batched=True, remove_columns=names)
    if args.process_index == 0:
        print(f"{len(train)} windows to train on, {model.num_parameters()} weights", flush=True)
    kept = tracking.Kept(given.out / "wandb")
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=train,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        callbacks=[kept, Noted(keep=3)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=newest_whole(given.out))
    said = trainer.predict(asked.remove_columns(["id", "offset_mapping"])).predictions
    exact, words = score(data["validation"], read(data["validation"], asked, said))
    trainer.save_model(str(given.out / "model"))
    if args.process_index == 0:
        trainer.log({"exact": exact, "f1": words})
        kept.finish()
        print(f"{len(data['validation'])} questions: exactly right {exact:.3f}, F1 {words:.3f}", flush=True)
        print(f"the model is in {given.out / 'model'}", flush=True)


def model_of(name: str) -> tuple[Any, Any]:
    """The model of that name, with a new head that marks answers, and its tokenizer."""
    if name == "toy":
        import toy

        tokenizer = toy.tokenizer()
        return toy.model(len(tokenizer)), tokenizer
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    return AutoModelForQuestionAnswering.from_pretrained(name), AutoTokenizer.from_pretrained(name)


def data_of(name: str) -> Any:
    """The data set of that name, in SQuAD's form."""
    if name == "toy":
        import toy

        return toy.data()
    from datasets import load_dataset

    return load_dataset(name)


if __name__ == "__main__":
    main()
