"""A path in `run` that lies in a mount and not in the workdir is told, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyrig.launch import misplaced

HERE_DOCUMENT = (
    "cat > go.sh << 'SH'\npython -m torch.distributed.run \\\n  --nnodes 2 \\\n  src/train.py --lr 1\nSH\nbash go.sh"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What goes to /workspace."""
    for name in ("src/train.py", "src/deep/data.json", "both/a.py"):
        (tmp_path / "mounted" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mounted" / name).touch()
    (tmp_path / "work" / "both").mkdir(parents=True)
    (tmp_path / "work" / "both" / "a.py").touch()
    return tmp_path / "mounted"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("python src/train.py", ["src/train.py"]),
        ("python ./src/train.py && python src/train.py", ["src/train.py"]),
        ("python src/train.py --data src/deep/data.json", ["src/train.py", "src/deep/data.json"]),
        (HERE_DOCUMENT, ["src/train.py"]),
        ("cd /elsewhere; python src/train.py", ["src/train.py"]),
        ("cd /workspace\npython src/train.py", []),
        ("cd /workspace/src; python src/train.py", []),
        ('cd "$FOLDER" && python src/train.py', []),
        ("python /workspace/src/train.py", []),
        ("python both/a.py", []),  # the workdir has it too
        ("python src/none.py; ls src; cat train.py", []),
        ("python src/$NAME src/*.py ../mounted/src/train.py", []),
        ("", []),
    ],
)
def test_what_only_a_mount_has_is_told(source: Path, text: str, told: list[str]) -> None:
    found = misplaced.notes(text, source.parent / "work", {"~/made": None, "/workspace": source})
    wanted = [f"`run` names {path}, which is not in the workdir: did you mean /workspace/{path}?" for path in told]
    assert found == wanted


def test_without_a_workdir_everything_is_elsewhere(source: Path) -> None:
    assert len(misplaced.notes("python both/a.py", None, {"~/code": source})) == 1
