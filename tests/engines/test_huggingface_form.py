"""The example's model in Hugging Face's form: the same numbers, the same tokens."""

from __future__ import annotations

import builtins
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine_server import roughened
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
tokenizers = pytest.importorskip("tokenizers")

TEXT = "def f(x):\n\treturn x\n" + "".join(chr(number) for number in range(32, 127)) + "äπ€"


@pytest.fixture(scope="module")
def saved(mingpt: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A model with weights that are all unlike each other, and the folder that it was saved to (twice)."""
    pytest.importorskip("safetensors")
    model, vocabulary = roughened(mingpt, TEXT, context=32, layers=2, heads=2, width=16)
    folder = tmp_path_factory.mktemp("models") / "mingpt"
    for _ in range(2):
        mingpt.huggingface.save(model, vocabulary, folder)
    return SimpleNamespace(model=model, vocabulary=vocabulary, folder=folder)


def test_nothing_but_the_folder_is_left(saved: SimpleNamespace) -> None:
    assert [each.name for each in saved.folder.parent.iterdir()] == ["mingpt"]
    assert sorted(each.name for each in saved.folder.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_logits_are_the_same(saved: SimpleNamespace) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(saved.folder).eval()
    assert type(theirs).__name__ == "GPT2LMHeadModel"
    tokens = torch.randint(len(saved.vocabulary), (3, 32))
    with torch.no_grad():
        assert torch.allclose(theirs(tokens).logits, saved.model.logits(tokens), atol=1e-5)
    counted = sum(weight.numel() for weight in saved.model.parameters())
    assert 0 <= sum(weight.numel() for weight in theirs.parameters()) - counted < 20 * 16, "biases of attention alone"


@pytest.fixture(scope="module")
def tokenizer(saved: SimpleNamespace) -> Any:
    return tokenizers.Tokenizer.from_file(str(saved.folder / "tokenizer.json"))


@given(data=st.data())
def test_tokens_are_the_same_and_come_back(
    data: st.DataObject, mingpt: SimpleNamespace, saved: SimpleNamespace, tokenizer: Any
) -> None:
    text = data.draw(st.text(st.one_of(st.sampled_from(TEXT), st.characters(exclude_categories=["Cs"])), min_size=1))
    found = tokenizer.encode(text).ids
    assert found == mingpt.data.encode(text, saved.vocabulary).tolist()
    known = "".join(char if char in saved.vocabulary else mingpt.data.UNKNOWN for char in text)
    assert tokenizer.decode(found) == known


def test_the_template_goes_on_with_the_end_of_a_conversation(saved: SimpleNamespace) -> None:
    transformers = pytest.importorskip("transformers")
    found = transformers.AutoTokenizer.from_pretrained(saved.folder)
    said = [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "d"}, {"role": "user", "content": "e"}]
    assert found.apply_chat_template(said, tokenize=False, add_generation_prompt=True) == "abc\nd\ne"
    long = [{"role": "user", "content": "x" * 50 + "y"}]
    assert found.apply_chat_template(long, tokenize=False) == "x" * 15 + "y", "half of the context is for the answer"


def test_without_safetensors_training_goes_on_and_the_model_before_stays(
    mingpt: SimpleNamespace, saved: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {each.name: each.read_bytes() for each in saved.folder.iterdir()}
    imported = builtins.__import__

    def without(name: str, *words: Any, **more: Any) -> Any:
        if name.startswith("safetensors"):
            raise ModuleNotFoundError("No module named 'safetensors'", name="safetensors")
        return imported(name, *words, **more)

    monkeypatch.setenv("SKYRIG_MODEL_DIR", str(saved.folder))
    monkeypatch.setattr(builtins, "__import__", without)
    mingpt.loop._hand_over(saved.model, saved.vocabulary, Namespace(out=saved.folder.parent / "out"))
    monkeypatch.undo()
    assert capsys.readouterr().out == "no model to serve was written: safetensors is not installed\n"
    assert {each.name: each.read_bytes() for each in saved.folder.iterdir()} == before


def test_the_model_lies_beside_the_checkpoints_where_nobody_says_otherwise(
    mingpt: SimpleNamespace, saved: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SKYRIG_MODEL_DIR", raising=False)
    mingpt.loop._hand_over(saved.model, saved.vocabulary, Namespace(out=tmp_path))
    assert (tmp_path / "huggingface" / "config.json").is_file()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SKYRIG_MODEL_DIR", "~/m/x")
    mingpt.loop._hand_over(saved.model, saved.vocabulary, Namespace(out=tmp_path))
    assert (tmp_path / "m" / "x" / "model.safetensors").is_file()
