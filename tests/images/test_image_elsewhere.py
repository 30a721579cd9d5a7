"""A machine image on a cloud that has none is refused before a builder is paid for."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from skyrig import building
from skyrig.errors import BadInput
from skyrig.stack import imagestacks
from skyrig.task.model import Task
from skyrig.task.resources import of_plain


def test_a_cloud_without_machine_images_is_refused_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    monkeypatch.setattr(building.verbs, "launch", lambda *_: pytest.fail("a builder was brought up"))
    task = Task(name="it", setup="true", choice=of_plain({"infra": "lambda"}, "test")[0])
    with pytest.raises(BadInput, match="no machine images are made on lambda"):
        building.build(building.Wanted("torch", task), io.BytesIO(), print, lambda question: True)
    assert list(tmp_path.rglob("*torch*")) == []


def test_three_clouds_and_this_machine_make_them() -> None:
    made = [name for name in building.imagestacks.clouds.CLOUDS if imagestacks.makes(name)]
    assert made == ["local", "aws", "gcp", "azure"]
