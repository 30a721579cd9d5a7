"""The bench of services at its smallest size, with its own client."""

from __future__ import annotations

import shutil

import pytest

from bench import serve


@pytest.mark.usefixtures("haproxy")
def test_the_bench_measures_a_balancer_beside_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "DELAYS_MS", (5.0,))
    looked = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name == "wrk" else looked(name, **more))
    taken, late, several = serve.measure(1, 0.3, lambda line: None)
    assert set(taken.seconds) == set(late.seconds) == {"direct", "balancer"}
    assert 0.005 < late.seconds["direct"][0] < 5
    assert several.seconds["4 replicas"][0] < several.seconds["1 replica"][0]
