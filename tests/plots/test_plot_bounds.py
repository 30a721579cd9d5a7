"""Nothing that a job prints, or a file holds, crashes a picture, and nothing but numbers and known names comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skyrig.plots import marks, metrics, names, panels, samples, terminal
from skyrig.plots.gathering import of_text
from skyrig.plots.values import AXES, Picture

PLAIN = """loss lr step epoch epoch: Epoch 1/5 it/s s/it tokens/s tps [ ] ( ) { } : = , | / % ━ 'loss': nan inf 1e999
-1 0 1 2.5 1,000 9999999999999999999999 1e308 -1e308 100%| 0/0 ms/step time 0.0ms train_runtime secret-hunter2 aux"""
WHOLE = """\r;\n;\x1b[1m;\n(skyrig) attempt 2;\n(rank 0, n0) ;\n(rank 1, n1) ;\n[rank0]:;[0/0 (0%)];\n(setup, n0) ;
eval ;Test ;50/100 [00:01<00:02, ;\n(skyrig) lost node n1: x, the job goes on;\n{"""
WORDS = st.sampled_from([*PLAIN.split(), *WHOLE.split(";")])
LOGS = st.one_of(
    st.binary(max_size=400),
    st.lists(WORDS, max_size=60).map(" ".join).map(str.encode),
    st.lists(st.tuples(st.floats(), st.floats(), st.floats()), max_size=20).map(
        lambda rows: "\n".join(f"step {a} epoch {b} loss {c}" for a, b, c in rows).encode()
    ),
)
SAMPLES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("tn"), inner, max_size=2),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
        st.dictionaries(
            st.sampled_from([*samples.GAUGES, "t", "n"]),
            st.one_of(st.floats(), st.integers(), st.none(), st.sampled_from(["n0", "n1", "0" * 50])),
        ).map(lambda value: json.dumps({"t": 1.0, "n": "n0", **value}).encode()),
    ),
    max_size=12,
)


def texts(value: Any) -> Iterator[str]:
    """All texts in plain data, keys too."""
    if isinstance(value, str):
        yield value
    for inner in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)


KEYS = {"axis", "curves", "name", "unit", "segments", "x", "y", "marks", "what", ""}


@given(LOGS)
def test_any_log_is_read_and_only_numbers_and_known_names_come_out(log: bytes) -> None:
    found = of_text(log).to_json()
    json.dumps(found, allow_nan=False)
    assert set(texts(found)) <= {*KEYS, *AXES, *names.KNOWN, *marks.KNOWN}
    metrics.of_bytes(log)
    metrics.of_bytes(b'{"log_history": [' + log + b"]}")


@given(LOGS, SAMPLES)
def test_anything_is_drawn(log: bytes, lines: list[bytes]) -> None:
    picture = Picture("job", of_text(log), samples.read(lines))
    assert all(panel.lines for panel in panels.panels(picture))
    for row in terminal.rows(picture, 60):
        assert sum(len(text) for text, _ in row[:2]) < 200
    for use in picture.nodes:
        json.dumps(use.to_json(), allow_nan=False)
