"""A data set and a model that need no hub, for a trial and for tests: the same each time.

DATASET_NAME=synthetic/COUNTxBYTES is COUNT conversations of about BYTES each, in ShareGPT's form, that count letters.
MODEL_NAME=synthetic/tiny is a Qwen2 of 0.1 million random weights that reads bytes.
"""

import random
import re
from collections.abc import Iterator
from typing import Any

from datasets import Features, IterableDataset, Value

PREFIX = "synthetic/"
FEATURES = Features({"conversations": [{"from": Value("string"), "value": Value("string")}]})
WORDS = ("strawberry", "blueberry", "raspberry", "cranberry", "mulberry", "elderberry", "gooseberry")
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def conversation(number: int, size: int) -> dict[str, Any]:
    """The conversation of this number, of about `size` bytes."""
    chance = random.Random(number)
    word = chance.choice(WORDS)
    letter = chance.choice(word)
    count = word.count(letter)
    turns = [
        {"from": "human", "value": f"How many {letter}'s are in '{word}'?"},
        {"from": "gpt", "value": f"There {'is' if count == 1 else 'are'} {count}."},
    ]
    room = size - sum(len(turn["value"]) for turn in turns)
    if room > 0:
        told = f"Question {number}. You are an expert at counting letters. "
        turns.insert(0, {"from": "system", "value": (told * (room // len(told) + 1))[:room]})
    return {"conversations": turns}


def conversations(count: int, size: int) -> Iterator[dict[str, Any]]:
    """So many, one after the other."""
    for number in range(count):
        yield conversation(number, size)


def stream(name: str) -> IterableDataset:
    """The data set of that name; ends the program with one line where the name is none."""
    found = re.fullmatch(rf"{PREFIX}(\d+)x(\d+)", name)
    if not found:
        raise SystemExit(f"DATASET_NAME {name}: synthetic/COUNTxBYTES is wanted, say synthetic/240x200")
    count, size = map(int, found.groups())
    return IterableDataset.from_generator(conversations, features=FEATURES, gen_kwargs={"count": count, "size": size})


def model(name: str) -> tuple[Any, Any]:
    """The model of that name and its tokenizer."""
    if name != f"{PREFIX}tiny":
        raise SystemExit(f"MODEL_NAME {name}: of these there is synthetic/tiny alone")
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytewise.decoder = decoders.ByteLevel()
    end, start, stop = SPECIAL
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise, eos_token=stop, pad_token=end, additional_special_tokens=[start], chat_template=CHAT
    )
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(3407)
    return Qwen2ForCausalLM(config).to(torch.bfloat16), tokenizer
