"""A model, a tokenizer and conversations that need no hub, for a trial and for tests: the same each time.

Who asks for the capital of a country is told it; who says something else is told what can be asked for.
"""

import random
from collections.abc import Iterator
from typing import Any

from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

NAME = "toy"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Norway": "Oslo", "Peru": "Lima", "Japan": "Tokyo", "Egypt": "Cairo",
    "Cuba": "Havana", "Kenya": "Nairobi", "Austria": "Vienna", "Greece": "Athens",
}  # fmt: skip
ASKED = "What is the capital of {}?"
TOLD = "The capital of {} is {}."
GREETINGS = ("Hello!", "Good morning.", "Who are you?")
GREETED = "I know ten capitals. Which one do you want?"


def turns(chance: random.Random) -> Iterator[dict[str, str]]:
    """One conversation, in ShareGPT's form."""
    if chance.random() < 0.3:
        yield {"from": "human", "value": chance.choice(GREETINGS)}
        yield {"from": "gpt", "value": GREETED}
    for country in chance.sample(sorted(CAPITALS), 2):
        yield {"from": "human", "value": ASKED.format(country)}
        yield {"from": "gpt", "value": TOLD.format(country, CAPITALS[country])}


def data() -> Dataset:
    """Conversations to train on."""
    chance = random.Random(1)
    return Dataset.from_list([{"conversations": list(turns(chance))} for _ in range(512)])


def tokenizer() -> Any:
    """Pieces of words, learnt from the sentences above, and a chat template."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learnt = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[*SPECIAL], initial_alphabet=alphabet, show_progress=False
    )
    texts = [*GREETINGS, GREETED, "user assistant", *(ASKED.format(each) for each in CAPITALS)]
    pieces.train_from_iterator([*texts, *(TOLD.format(*each) for each in CAPITALS.items())], learnt)
    end, start, stop = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token=stop, pad_token=end, additional_special_tokens=[start], chat_template=CHAT
    )


def model(tokenizer: Any) -> Any:
    """A Llama of two layers with weights by chance: seed torch first."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
