"""The parts of the example, each by itself."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

EXAMPLE = Path(__file__).parents[2] / "examples" / "mingpt"
MODULES = ("world", "checkpoint", "data", "model")


@pytest.fixture(scope="module")
def mingpt() -> Iterator[SimpleNamespace]:
    """The example's modules, out of the way again afterwards: their names are common ones."""
    sys.path.insert(0, str(EXAMPLE))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(EXAMPLE))
    for name in MODULES:
        del sys.modules[name]


def test_no_position_sees_what_comes_after_it(mingpt: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model = mingpt.model.GPT(mingpt.model.Sizes(vocabulary=11, context=8, layers=2, heads=2, width=16))
    tokens = torch.randint(11, (1, 8))
    other = tokens.clone()
    other[0, 5:] = (other[0, 5:] + 1) % 11
    before, after = model.logits(tokens), model.logits(other)
    assert torch.allclose(before[0, :5], after[0, :5], atol=1e-6)
    assert not torch.allclose(before[0, 5:], after[0, 5:], atol=1e-3)


def test_an_untrained_model_knows_nothing(mingpt: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model = mingpt.model.GPT(mingpt.model.Sizes(vocabulary=64))
    tokens = torch.randint(64, (4, 33))
    assert model(tokens[:, :-1], tokens[:, 1:]).item() == pytest.approx(math.log(64), abs=0.2)


def test_rare_characters_share_one_token(mingpt: SimpleNamespace) -> None:
    vocabulary = mingpt.data.vocabulary_of("abba")
    assert vocabulary == mingpt.data.UNKNOWN + "ab"
    assert mingpt.data.encode("abé🚀b", vocabulary).tolist() == [1, 2, 0, 0, 2]


def test_entropy_of_letters(mingpt: SimpleNamespace) -> None:
    tokens = torch.tensor([0, 1, 2, 3], dtype=torch.uint8)
    assert mingpt.data.unigram_entropy(tokens) == pytest.approx(math.log(4))
    assert mingpt.data.unigram_entropy(tokens[:1]) == 0


def test_batches_are_windows_and_their_next_characters(mingpt: SimpleNamespace) -> None:
    tokens = torch.arange(200, dtype=torch.uint8)
    cpu = torch.device("cpu")
    seen, wanted = mingpt.data.batch(tokens, 5, 16, 3, cpu)
    assert seen.shape == wanted.shape == (5, 16)
    assert torch.equal(seen + 1, wanted)
    again, _ = mingpt.data.batch(tokens, 5, 16, 3, cpu)
    other, _ = mingpt.data.batch(tokens, 5, 16, 4, cpu)
    assert torch.equal(seen, again)
    assert not torch.equal(seen, other)


def test_the_text_is_real_and_bounded(mingpt: SimpleNamespace) -> None:
    text = mingpt.data.library_text(50_000)
    assert len(text) == 50_000
    assert "def " in text


def test_a_checkpoint_is_whole_or_not_there(mingpt: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoint.pt"
    assert mingpt.checkpoint.load(path) is None
    mingpt.checkpoint.save({"step": 1, "weights": torch.ones(3)}, path)
    mingpt.checkpoint.save({"step": 2, "weights": torch.ones(3)}, path)
    assert mingpt.checkpoint.load(path)["step"] == 2
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint.pt"]
