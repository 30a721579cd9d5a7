"""Metrics of several programs as one text that Prometheus reads, and tokens a second out of engines' counters."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parsed

from skyrig.serve.metrics.exposition import Part, families, merged
from skyrig.serve.metrics.tokens import Reading, generated, rate

CASES = [
    pytest.param(case, id=case["name"])
    for case in json.loads((Path(__file__).parent / "cases" / "expositions.json").read_text())
]
LABEL_NAMES = st.sampled_from(["replica", "model", "le_", "exported_replica"])
LABELS = st.dictionaries(LABEL_NAMES, st.text(max_size=8), max_size=3)
NAMES = st.sampled_from(["a", "a_sum", "a_count", "a_bucket", "b_total", "c:d"])
KINDS = st.sampled_from(["counter", "gauge", "histogram", "summary", "x"])
LINES = st.lists(
    st.builds("# TYPE {} {}".format, NAMES, KINDS)
    | st.builds('{}{{model="{}"}} {}'.format, NAMES, st.text(max_size=5), st.sampled_from(["1", "NaN", "+Inf", "x"]))
    | st.builds("{} {}".format, NAMES, st.floats()),
    max_size=8,
)
LONG = 200_000


def samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    """All samples, as Prometheus' own parser for Python reads them."""
    return [(each.name, each.labels, each.value) for family in parsed(text) for each in family.samples]


@pytest.mark.parametrize("case", CASES)
def test_texts_become_one(case: dict[str, Any]) -> None:
    parts = [Part("\n".join(part["text"]) + "\n", part.get("labels", {})) for part in case["parts"]]
    assert merged(parts).splitlines() == case["merged"]
    list(parsed(merged(parts)))


@st.composite
def exporters(draw: st.DrawFn) -> str:
    """What a program tells that uses Prometheus' own client library."""
    registry = CollectorRegistry()
    for name in draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1)):
        kind = draw(st.sampled_from([Counter, Gauge, Histogram, Summary]))
        metric = kind(name, draw(st.text(max_size=12)), ["model"], registry=registry)
        for label in draw(st.sets(st.text(max_size=6), max_size=3)):
            one = metric.labels(label)
            number = draw(st.floats(min_value=0, allow_nan=False))
            one.inc(number) if isinstance(one, (Counter, Gauge)) else one.observe(number)
    return generate_latest(registry).decode()


@settings(max_examples=40)
@given(st.lists(exporters(), max_size=4))
def test_every_sample_of_every_replica_is_there_once(texts: list[str]) -> None:
    whole = merged([Part(text, {"replica": str(number)}) for number, text in enumerate(texts)])
    kinds: dict[str, str] = {}
    expected = []
    for number, text in enumerate(texts):
        for family in families(text):
            if kinds.setdefault(family.name, family.kind) == family.kind:
                for name, labels, value in samples("\n".join(family.lines()) + "\n"):
                    expected.append((name, {**labels, "replica": str(number)}, value))
    assert sorted(samples(whole), key=repr) == sorted(expected, key=repr)
    types = [line.split(" ")[2] for line in whole.splitlines() if line.startswith("# TYPE ")]
    assert len(types) == len(set(types))


@given(st.lists(st.tuples(st.text(max_size=200) | LINES.map("\n".join), LABELS), max_size=4))
def test_whatever_replicas_answer_the_whole_can_be_read(parts: list[tuple[str, dict[str, str]]]) -> None:
    whole = merged([Part(text, labels) for text, labels in parts])
    series = [(name, tuple(sorted(labels.items()))) for name, labels, _ in samples(whole)]
    assert len(series) == len(set(series)), "each series once"
    assert len(series) == sum(not line.startswith("#") for line in whole.split("\n") if line)
    assert sorted(merged([Part(whole)]).splitlines()) == sorted(whole.splitlines()), "nothing of it is left out"


@pytest.mark.parametrize(
    "text",
    [
        "a{" + 'x="1",' * LONG,
        "a{" + " " * LONG + "x",
        "a" * LONG,
        'a{x="' + "\\\\" * LONG,
        "# TYPE " + " " * LONG,
        "a" + " " * LONG + "{",
        "a 1 " + " " * LONG + "x",
        "# HELP a" + " " * LONG + "\r",
    ],
    ids=range(8),
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    assert merged([Part(text)]) == ""
    assert time.process_time() - begun < 10, "each took under half a second; with the square of its length, hours"


@given(st.text(max_size=20), st.text(max_size=20))
def test_labels_hold_any_text(given_text: str, own: str) -> None:
    registry = CollectorRegistry()
    Gauge("a", "x", ["model"], registry=registry).labels(own).set(1)
    ((_, labels, _),) = samples(merged([Part(generate_latest(registry).decode(), {"replica": given_text})]))
    for found, told in ((labels["replica"], given_text), (labels["model"], own)):
        assert "".join(found.splitlines()) == found or "\n" in told
        assert [one for one in found if one.isalnum()] == [one for one in told if one.isalnum()]


def test_tokens_of_every_engine() -> None:
    shared = "# TYPE vllm:generation_tokens_total counter\n"
    vllm = 'vllm:generation_tokens_total{engine="0",model_name="m"} 5.0\nvllm:generation_tokens_total{engine="1"} 7.0\n'
    assert generated(shared + vllm) == 12.0
    assert generated('sglang:generation_tokens_total{model_name="m"} 3\n') == 3.0
    tgi = '# TYPE tgi_request_generated_tokens histogram\ntgi_request_generated_tokens_bucket{le="+Inf"} 2\n'
    assert generated(f"{tgi}tgi_request_generated_tokens_sum 40\ntgi_request_generated_tokens_count 2\n") == 40.0
    assert generated("skyrig_generated_tokens_total 9\n") == 9.0
    assert generated("<html>no metrics</html>\nvllm:generation_tokens_total NaN\n") is None


def test_rates() -> None:
    assert rate([Reading(0.0, 100.0), Reading(5.0, 600.0), Reading(10.0, 600.0)]) == 50.0
    assert rate([Reading(0.0, 100.0), Reading(5.0, 600.0), Reading(10.0, 30.0)]) == 53.0, "begun anew"
    assert rate([Reading(0.0, 100.0)]) is None and rate([]) is None
    assert rate([Reading(3.0, 1.0), Reading(3.0, 2.0)]) is None


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20))
def test_a_rate_is_never_negative(counts: list[float]) -> None:
    found = rate([Reading(float(at), tokens) for at, tokens in enumerate(counts)])
    assert found is not None and found >= 0
