"""A model, a tokenizer and a data set that need no hub, for a trial and for tests: the same each time.

The texts are reviews of one sentence; whether one is kind (1) or not (0) stands in a single word of it.
"""

import random
from typing import Any

from datasets import Dataset, DatasetDict
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

NAME = "toy"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
THINGS = ("film", "book", "song", "play", "meal", "hotel", "concert", "lecture")
WORDS = (
    ("dull", "poor", "awful", "clumsy", "tedious", "bland", "shallow", "noisy"),
    ("fine", "lovely", "great", "moving", "clever", "fresh", "rich", "charming"),
)
FORMS = ("the {thing} was {word}", "a {word} {thing} all in all", "what a {word} {thing}", "{word} , this {thing} is")


def texts(count: int, seed: int) -> Dataset:
    """So many reviews with their labels, in the form of GLUE's task sst2."""
    chance = random.Random(seed)
    labels = [chance.randrange(2) for _ in range(count)]
    said = [
        chance.choice(FORMS).format(thing=chance.choice(THINGS), word=chance.choice(WORDS[each])) for each in labels
    ]
    return Dataset.from_dict({"sentence": said, "label": labels})


def data() -> DatasetDict:
    """What is trained on, and what the result is tried on."""
    return DatasetDict(train=texts(512, 1), validation=texts(128, 2))


def tokenizer() -> Any:
    """One token a word, for the words above."""
    known = sorted({word for text in (*FORMS, *THINGS, *WORDS[0], *WORDS[1]) for word in text.split()})
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate((*SPECIAL, *known))}, "[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [(name, SPECIAL.index(name)) for name in ("[SEP]", "[CLS]")]
    words.post_processor = processors.BertProcessing(*ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def model(labels: int, vocabulary: int) -> Any:
    """A BERT of two layers with weights by chance: seed torch first."""
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, pad_token_id=0, num_labels=labels,
        )
    )  # fmt: skip
