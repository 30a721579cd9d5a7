"""Two clones and one stack: what is taken over, what is kept, what is refused."""

import shutil
from pathlib import Path

import pytest
from cloned import Site
from hypothesis import given
from hypothesis import strategies as st

from skyrig import places
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput
from skyrig.stack import agreement, config, deployed, stacks
from skyrig.stack.agreement import Verdict

SHAPES = st.builds(resized, st.just(Shape()), st.integers(1, 3))


def quiet(line: str) -> None:
    """Nobody listens."""


@given(SHAPES, SHAPES, st.none() | SHAPES.map(agreement.mark), st.booleans(), st.booleans())
def test_nothing_of_the_users_is_lost_unasked(
    here: Shape, there: Shape, seen: str | None, bare: bool, past: bool
) -> None:
    verdict = agreement.judge(here, there, bare=bare, seen=seen, known_past=lambda: past)
    if verdict is Verdict.TAKE:
        assert bare or seen == agreement.mark(here) or (seen is None and past)
    if verdict is Verdict.KEEP:
        assert here == there or (seen == agreement.mark(there) and not bare)
    assert agreement.judge(here, None, bare=bare, seen=seen, known_past=lambda: past) is Verdict.KEEP


@pytest.mark.e2e
@pytest.mark.soak
def test_older_is_brought_up_edited_is_kept_and_both_is_refused(
    project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.up("pair", resized(Shape(), 2), quiet)
    other = tmp_path / "other"
    shutil.copytree(project_folder, other)  # it has seen nothing; its config is what was deployed
    stacks.up("pair", resized(Shape(), 4), quiet)

    monkeypatch.chdir(other)
    lines: list[str] = []
    assert len(stacks.settled("pair", lines.append).nodes) == 4
    assert len(lines) == 1 and "is older here than its last deployment" in lines[0]
    assert "skyrig:nodes [n0, n1] here, [n0, n1, n2, n3] there" in lines[0]

    config.write_shape("pair", resized(Shape(), 3))
    assert len(stacks.settled("pair", lines.append).nodes) == 3, "the user's own edit"
    assert len(lines) == 1

    monkeypatch.chdir(project_folder)
    stacks.up("pair", resized(Shape(), 1), quiet)
    monkeypatch.chdir(other)
    for _ in range(2):
        with pytest.raises(BadInput, match=r"changed here, and by a deployment") as refused:
            stacks.up("pair", None, quiet)
        assert "[n0, n1, n2] here, [n0] there" in str(refused.value)
        assert "`pulumi config refresh --stack pair --force`" in str(refused.value)
    stacks.refresh("pair", quiet)  # what only looks is not refused

    stacks.take_config("pair")
    assert len(config.read_shape("pair").nodes) == 1
    config.write_shape("pair", resized(Shape(), 2))
    assert len(stacks.settled("pair", quiet).nodes) == 2


@pytest.mark.e2e
def test_what_a_killed_run_started_with_counts_as_deployed(project_folder: Path) -> None:
    stacks.up("short", resized(Shape(), 1), quiet)
    assert deployed.last("short") == resized(Shape(), 1)
    agreement.note_run("short", resized(Shape(), 3))
    assert deployed.last("short") == resized(Shape(), 3)
    (project_folder / "stacks" / "Pulumi.short.yaml").unlink()
    assert len(stacks.settled("short", quiet).nodes) == 3
    (places.stack("short") / "started.json").write_text("{")
    assert deployed.last("short") == resized(Shape(), 1)


@pytest.mark.e2e
def test_a_shared_backend_is_asked_through_the_engine(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks.up("far", resized(Shape(), 3), quiet)
    file = project_folder / "stacks" / "Pulumi.far.yaml"
    salt = file.read_text().splitlines()[0]
    file.unlink()
    monkeypatch.setattr("skyrig.stack.backend.folder", lambda: None)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{places.backend()}")
    assert len(stacks.settled("far", quiet).nodes) == 3
    assert salt.startswith("encryptionsalt") and salt in file.read_text()


@pytest.mark.e2e
def test_plain_pulumi_in_a_second_clone_takes_nothing_away(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.up("pair", 1)
    before = site.nodes("pair")
    # the engine alone, without our wrapper: the program refuses and says what to do
    engine = next(places.engine("3.258.0").parents[1].glob("*/bin/pulumi"))
    own = {
        "PULUMI_BACKEND_URL": f"file://{site.home}/state",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(site.home / "passphrase"),
        "PATH": f"{engine.parent}:{site.env['PATH']}",
    }
    words = ["--stack", "pair", "--non-interactive", "--yes", "--skip-preview"]
    said = two.run(str(engine), "up", *words, env=own, code=None)
    assert "is missing or older here" in said and "`up -c pair`" in said
    assert site.nodes("pair") == before

    # with the wrapper it is done for the user
    said = two.pulumi("preview", "pair", "--expect-no-changes")
    assert "is not here: taking it from there" in said
    two.config("pair").unlink()
    two.pulumi("destroy", "pair", "--yes", "--skip-preview")
    assert site.nodes("pair") == {}


@pytest.mark.parametrize(
    ("words", "stack"),
    [
        (["up"], "dev"),
        (["up", "-s", "a"], "a"),
        (["up", "--stack=b"], "b"),
        (["preview", "-s=organization/skyrig/c"], "c"),
        (["destroy", "--yes", "--stack", "d"], "d"),
    ],
)
def test_the_stack_of_a_command_line(project_folder: Path, words: list[str], stack: str) -> None:
    from skyrig.stack import plain

    assert Path.cwd() == project_folder
    assert plain.stack_in(words) == stack
