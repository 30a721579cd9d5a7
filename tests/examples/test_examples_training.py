"""Parts of the examples that train with Transformers: whole checkpoints, labels of conversations, answers in windows.

What needs neither torch nor Transformers is tested without; their places are taken by what these parts use of them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from example_cases import EXAMPLES

np = pytest.importorskip("numpy")


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """One module of an example."""
    alone = SimpleNamespace(is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(distributed=alone))
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(TrainerCallback=object))

    def load(example: str, name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"{example}_{name}", EXAMPLES / example / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("name", ["checkpoints.py", "deepspeed_on_cpu.py"])
def test_what_examples_have_in_common_is_the_same_in_each(name: str) -> None:
    """Each is a folder that stands alone, so it has its own copy."""
    assert len({file.read_text() for file in EXAMPLES.glob(f"*/{name}")}) == 1


def saved(checkpoints: ModuleType, out: Path, step: int, rank: int = 0, ranks: int = 1, keep: int = 9) -> Path:
    """A checkpoint as rank `rank` leaves it."""
    folder = out / f"checkpoint-{step}"
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "model").write_text("m" * 100)
    (folder / "deep" / f"optimizer-{rank}").write_text("o" * 50)
    args = SimpleNamespace(output_dir=str(out), world_size=ranks, process_index=rank)
    state = SimpleNamespace(global_step=step, is_world_process_zero=rank == 0)
    checkpoints.Noted(keep).on_save(args, state, None)
    return folder


def cut(folder: Path) -> None:
    (folder / "model").write_text("m" * 99)


def lost(folder: Path) -> None:
    (folder / "deep" / "optimizer-0").unlink()


def without_note(folder: Path) -> None:
    (folder / "whole-0.json").unlink()


def with_a_cut_note(folder: Path) -> None:
    (folder / "whole-0.json").write_text('{"ranks": 1, "fi')


def noted_by_one_of_two(folder: Path) -> None:
    (folder / "whole-0.json").write_text(json.dumps({"ranks": 2, "files": {}}))


@pytest.mark.parametrize("harm", [cut, lost, without_note, with_a_cut_note, noted_by_one_of_two])
def test_a_run_goes_on_from_the_newest_checkpoint_that_is_whole(
    part: Callable[[str, str], ModuleType], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    checkpoints = part("glue", "checkpoints")
    assert checkpoints.newest_whole(tmp_path) is None
    old, new = saved(checkpoints, tmp_path, 20), saved(checkpoints, tmp_path, 100)
    assert checkpoints.newest_whole(tmp_path) == str(new)
    harm(new)
    assert checkpoints.newest_whole(tmp_path) == str(old)
    assert not new.exists(), "what is not whole is not left for the next attempt to be mixed with"
    assert checkpoints.newest_whole(tmp_path) == str(old)


def test_old_checkpoints_go_by_their_steps_whatever_their_folders_times(
    part: Callable[[str, str], ModuleType], tmp_path: Path
) -> None:
    checkpoints = part("glue", "checkpoints")
    for time, step in enumerate((80, 100, 60)):
        os.utime(saved(checkpoints, tmp_path, step), (time, time))
    saved(checkpoints, tmp_path, 120, keep=2)
    assert {folder.name for folder in tmp_path.iterdir()} == {"checkpoint-100", "checkpoint-120"}


@pytest.mark.parametrize("file", [each for each in EXAMPLES.rglob("*.py") if '"nccl"' in each.read_text()])
def test_each_process_chooses_its_gpu_before_it_meets_others_by_nccl(file: Path) -> None:
    """Else torch sends objects by way of the first one, for all processes of a node, which NCCL refuses."""
    assert "torch.cuda.set_device(" in file.read_text()


def test_all_ranks_take_one_that_each_of_them_sees(
    part: Callable[[str, str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = part("glue", "checkpoints")
    for step in (20, 40, 60):
        for rank in (0, 1):
            saved(checkpoints, tmp_path, step, rank, 2)
    monkeypatch.setattr(checkpoints, "_together", lambda seen: [seen, {20, 40}])
    assert checkpoints.newest_whole(tmp_path) == str(tmp_path / "checkpoint-40")


class Letters:
    """A tokenizer of one token a letter, with a chat template that marks turns."""

    def apply_chat_template(
        self, said: list[dict[str, str]], tokenize: bool, add_generation_prompt: bool = False
    ) -> str:
        assert not tokenize
        text = "".join(f"<{turn['role'][0]}>{turn['content']}|" for turn in said)
        return text + "<a>" * add_generation_prompt

    def __call__(self, text: str, truncation: bool, max_length: int, **_: Any) -> dict[str, Any]:
        assert truncation
        kept = text[:max_length]
        places = [(at, at + 1) for at in range(len(kept))]
        return {"input_ids": [ord(each) for each in kept], "attention_mask": [1] * len(kept), "offset_mapping": places}


TURNS = (("system", "be kind"), ("human", "hi"), ("gpt", "hello"), ("human", "more"), ("gpt", "bye"))


def test_only_what_the_assistant_says_is_learnt(part: Callable[[str, str], ModuleType]) -> None:
    conversations = part("chat", "conversations")
    said = conversations.messages([{"from": role, "value": text} for role, text in TURNS])
    assert said[2] == {"role": "assistant", "content": "hello"}
    read = conversations.tokens(Letters(), said, 100)
    whole = "<s>be kind|<u>hi|<a>hello|<u>more|<a>bye|"
    assert "".join(map(chr, read["input_ids"])) == whole
    learnt = "".join(chr(label) if label >= 0 else "." for label in read["labels"])
    assert learnt == "." * whole.index("hello") + "hello|" + "." * len("<u>more|<a>") + "bye|"
    assert [len(conversations.tokens(Letters(), said, 20)[name]) for name in ("input_ids", "labels")] == [20, 20]


def test_a_template_that_rewrites_earlier_turns_is_refused(part: Callable[[str, str], ModuleType]) -> None:
    conversations = part("chat", "conversations")

    class Forgetful(Letters):
        def apply_chat_template(self, said: list[dict[str, str]], **more: Any) -> str:
            return super().apply_chat_template([{**turn, "content": turn["content"][:9]} for turn in said[-3:]], **more)

    with pytest.raises(ValueError, match="changes earlier turns"):
        conversations.tokens(Forgetful(), conversations.messages([{"from": a, "value": b} for a, b in TURNS]), 100)


@pytest.mark.parametrize(
    ("turns", "said"),
    [([{"from": "narrator", "value": "x"}], "turns of narrator"), ([{"role": "tool"}], "turns of tool")],
)
def test_turns_of_nobody_known_end_the_program(
    part: Callable[[str, str], ModuleType], turns: list[dict[str, str]], said: str
) -> None:
    with pytest.raises(SystemExit, match=said):
        part("chat", "conversations").messages(turns)


class Words:
    """A tokenizer of one token a word, which cuts contexts into windows of 8 tokens that share 2."""

    def __call__(self, questions: list[str], contexts: list[str], **_: Any) -> Cut:
        found = Cut(offset_mapping=[], overflow_to_sample_mapping=[])
        for row, (question, context) in enumerate(zip(questions, contexts, strict=True)):
            asked, told = list(_places(question)), list(_places(context))
            room = 8 - len(asked) - 1
            for first in range(0, max(1, len(told) - 2), room - 2):
                window = told[first : first + room]
                found["offset_mapping"].append([(0, 0), *asked, *window])
                found["overflow_to_sample_mapping"].append(row)
                found.parts.append([None, *(0 for _ in asked), *(1 for _ in window)])
        return found


class Cut(dict[str, Any]):
    """What a fast tokenizer gives: columns, and which part each token is of."""

    def __init__(self, **columns: Any) -> None:
        super().__init__(**columns)
        self.parts: list[list[int | None]] = []

    def sequence_ids(self, at: int) -> list[int | None]:
        """0 for the question, 1 for the context, None for tokens of neither."""
        return self.parts[at]


def _places(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for word in text.split():
        at = text.index(word, at)
        yield at, at + len(word)
        at += len(word)


CONTEXT = "anna was born in rome , and the town of oslo is where she lives now"
ROWS = {
    "id": ["a", "b"],
    "question": ["born where", "lives where"],
    "context": [CONTEXT, CONTEXT],
    "answers": [
        {"text": ["rome"], "answer_start": [CONTEXT.index("rome")]},
        {"text": ["the town of oslo", "oslo"], "answer_start": [CONTEXT.index("the town"), CONTEXT.index("oslo")]},
    ],
}


def test_an_answer_is_learnt_in_the_windows_that_have_all_of_it(part: Callable[[str, str], ModuleType]) -> None:
    answers = part("bert-qa", "answers")
    cut = answers.Windows(Words(), 8, 2).to_learn(ROWS)
    assert "offset_mapping" not in cut
    asked = answers.Windows(Words(), 8, 2).to_ask(ROWS)
    told = [
        (row, CONTEXT[places[first][0] : places[last][1]])
        for row, places, first, last in zip(
            asked["id"], asked["offset_mapping"], cut["start_positions"], cut["end_positions"], strict=True
        )
        if first
    ]
    assert told == [("a", "rome"), ("a", "rome"), ("b", "the town of oslo")]
    assert len(asked["id"]) > len(told), "and some windows have no answer, or a part of it"


def test_the_best_answer_of_all_windows_is_read(part: Callable[[str, str], ModuleType]) -> None:
    answers = part("bert-qa", "answers")
    asked = answers.Windows(Words(), 8, 2).to_ask(ROWS)
    windows = [dict(zip(asked, values, strict=True)) for values in zip(*asked.values(), strict=True)]
    width = max(len(window["offset_mapping"]) for window in windows) + 1
    starts, ends = np.full((len(windows), width), -9.0), np.full((len(windows), width), -9.0)
    for at, window in enumerate(windows):
        starts[at, 0] = ends[at, 0] = 50  # outside of the context: never an answer
        for token, (first, last) in enumerate(window["offset_mapping"]):
            word = CONTEXT[first:last] if first >= 0 else ""
            starts[at, token] += 10 * (word == {"a": "rome", "b": "oslo"}[window["id"]])
            ends[at, token] += 10 * (word == {"a": "rome", "b": "oslo"}[window["id"]])
    rows = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
    said = answers.read(rows, windows, (starts, ends))
    assert said == {"a": "rome", "b": "oslo"}
    assert answers.score(rows, said) == (1.0, 1.0)
    exact, words = answers.score(rows, {"a": "the Rome!", "b": "in the town"})
    assert exact == 0.5 and words == pytest.approx((1 + 2 * 1 / (2 + 3)) / 2)
