"""The example's model in Hugging Face's form: the same numbers, the same tokens."""

from __future__ import annotations

import builtins
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine_server import EXAMPLE, quiet
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
tokenizers = pytest.importorskip("tokenizers")

MODULES = ("world", "checkpoint", "data", "model", "huggingface")
TEXT = "def f(x):\n\treturn x\n" + "".join(chr(number) for number in range(32, 127)) + "äπ€"


@pytest.fixture(scope="module")
def mingpt() -> Iterator[SimpleNamespace]:
    """The example's modules, out of the way again afterwards: their names are common ones."""
    sys.path.insert(0, str(EXAMPLE))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(EXAMPLE))
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture(scope="module")
def saved(mingpt: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A model with weights that are all unlike each other, and the folder that it was saved to (twice)."""
    pytest.importorskip("safetensors")
    torch.manual_seed(0)
    vocabulary = mingpt.data.vocabulary_of(TEXT)
    model = mingpt.model.GPT(mingpt.model.Sizes(len(vocabulary), context=32, layers=2, heads=2, width=16))
    for weight in model.parameters():
        weight.data += torch.randn_like(weight) / 5
    folder = tmp_path_factory.mktemp("models") / "mingpt"
    for _ in range(2):
        mingpt.huggingface.save(model, vocabulary, folder)
    return SimpleNamespace(model=model.eval(), vocabulary=vocabulary, folder=folder)


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


def test_a_save_that_fails_leaves_the_model_before(
    mingpt: SimpleNamespace, saved: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {each.name: each.read_bytes() for each in saved.folder.iterdir()}
    imported = builtins.__import__

    def without(name: str, *words: Any, **more: Any) -> Any:
        if name.startswith("safetensors"):
            raise ModuleNotFoundError("No module named 'safetensors'", name="safetensors")
        return imported(name, *words, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError):
        mingpt.huggingface.save(saved.model, saved.vocabulary, saved.folder)
    monkeypatch.undo()
    assert {each.name: each.read_bytes() for each in saved.folder.iterdir()} == before


@pytest.mark.e2e
def test_training_does_without_safetensors(tmp_path: Path) -> None:
    (tmp_path / "safetensors").mkdir()
    (tmp_path / "safetensors" / "__init__.py").write_text("raise ModuleNotFoundError(name='safetensors')")
    words = ["--text", "20000", "--batch", "1", "--steps", "1", "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, str(EXAMPLE / "train.py"), *words],
        env={**quiet(tmp_path), "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "no model to serve was written: safetensors is not installed" in ended.stdout
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["checkpoint.pt", "model.pt"]
