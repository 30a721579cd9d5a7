"""A model, a tokenizer and a data set that need no hub, for a trial and for tests: the same each time.

Each context tells of one person; what is asked for is a town, a year or a trade that it names.
"""

import random
from typing import Any

from datasets import Dataset, DatasetDict
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerFast

NAME = "toy"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
NAMES = ("anna", "ben", "clara", "david", "emma", "frank", "grete", "hugo")
TOWNS = ("rome", "paris", "oslo", "lima", "cairo", "delhi", "kyoto", "quito", "turin", "basel", "porto", "accra")
YEARS = tuple(str(year) for year in range(1960, 2000, 3))
TRADES = ("baker", "nurse", "farmer", "pilot", "tailor", "painter", "teacher", "lawyer", "miner", "smith")
ABOUT = (
    ("where was {name} born ?", "{name} was born in {}", TOWNS),
    ("when did {name} leave ?", "{name} left in the year {}", YEARS),
    ("what is {name} by trade ?", "{name} earns a living as a {}", TRADES),
)


def rows(count: int, seed: int) -> Dataset:
    """So many questions with their answers, in SQuAD's form."""
    chance = random.Random(seed)
    return Dataset.from_list([_row(number, chance) for number in range(count)])


def _row(number: int, chance: random.Random) -> dict[str, Any]:
    name, asked = chance.choice(NAMES), chance.randrange(len(ABOUT))
    facts = [chance.choice(values) for _, _, values in ABOUT]
    told = [text.format(fact, name=name) for (_, text, _), fact in zip(ABOUT, facts, strict=True)]
    chance.shuffle(told)
    context, answer = " . ".join(told), facts[asked]
    question = ABOUT[asked][0].format(name=name)
    answers = {"text": [answer], "answer_start": [context.index(f" {answer}") + 1]}
    return {"id": str(number), "context": context, "question": question, "answers": answers}


def data() -> DatasetDict:
    """What is trained on, and what the result is tried on."""
    return DatasetDict(train=rows(2048, 1), validation=rows(128, 2))


def tokenizer() -> Any:
    """One token a word, for the words above."""
    texts = [text for question, told, _ in ABOUT for text in (question, told)]
    known = sorted({word for text in (*texts, *NAMES, *TOWNS, *YEARS, *TRADES, ".") for word in text.split()})
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate((*SPECIAL, *known))}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.BertProcessing(*((name, SPECIAL.index(name)) for name in ("[SEP]", "[CLS]")))
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def model(vocabulary: int) -> Any:
    """A BERT of two layers with weights by chance: seed torch first."""
    return BertForQuestionAnswering(
        BertConfig(
            vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=128, pad_token_id=0, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
        )
    )  # fmt: skip
