"""Reading and writing the plain config of a stack."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyrig.cluster.description import Accelerators
from skyrig.cluster.shape import ISOLATIONS, Shape, WantedNode, resized
from skyrig.errors import BadInput
from skyrig.stack import config, project

WRITTEN = """\
# why this stack is here
encryptionsalt: v1:abc
config:
  aws:region: eu-west-1 # not ours
  skyrig:nodes:
    - n0
  skyrig:cpus: 4
"""


@pytest.fixture
def file(project_folder: Path) -> Path:
    """The config of stack `s`, which does not exist yet."""
    return project_folder / "stacks" / "Pulumi.s.yaml"


def test_what_is_not_ours_survives_a_change(file: Path) -> None:
    file.write_text(WRITTEN)
    shape = resized(config.read_shape("s"), 2)
    assert shape.cpus == 4
    assert config.write_shape("s", shape)
    assert file.read_text() == WRITTEN.replace("    - n0\n", "    - n0\n    - n1\n")


def test_the_same_shape_leaves_the_file_alone(file: Path) -> None:
    file.write_text(WRITTEN)
    before = file.stat()
    shape = config.read_shape("s")
    assert not config.write_shape("s", shape)
    assert file.stat() == before


def test_a_remark_inside_an_unchanged_value_stays(file: Path) -> None:
    file.write_text(WRITTEN.replace("- n0", "- n0 # the head"))
    config.write_shape("s", Shape(nodes=(WantedNode("n0"),), cpus=8))
    assert "- n0 # the head" in file.read_text()


def test_a_default_value_is_taken_out_again(file: Path) -> None:
    file.write_text(WRITTEN)
    config.write_shape("s", Shape(nodes=(WantedNode("n0"),)))
    assert "cpus" not in file.read_text()


NODES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), min_size=1, max_size=4, unique=True)
SHAPES = st.builds(
    Shape,
    nodes=NODES.map(lambda names: tuple(WantedNode(name, "g", 2) for name in names)),
    accelerators=st.just(Accelerators()) | st.builds(Accelerators, st.sampled_from(["H100", "A100-80GB"]), st.just(8)),
    cpus=st.integers(0, 512),
    isolation=st.sampled_from(ISOLATIONS),
)


@given(SHAPES)
def test_what_was_written_is_read(shape: Shape) -> None:
    project.config_file("t").unlink(missing_ok=True)
    config.write_shape("t", shape)
    assert config.read_shape("t") == shape


@pytest.fixture(autouse=True)
def _in_the_project(project_folder: Path) -> None:
    """Every test here runs in a project of its own."""


def test_a_salt_is_kept_where_a_secret_needs_it(file: Path) -> None:
    secret = WRITTEN + "  aws:token:\n    secure: v1:xyz\n"
    file.write_text(secret)
    config.fit_salt("s", "v1:other")
    assert file.read_text() == secret
    file.write_text(WRITTEN)
    config.fit_salt("s", "v1:other")
    assert file.read_text() == WRITTEN.replace("v1:abc", "v1:other")
    config.fit_salt("s", None)
    assert "encryptionsalt" not in file.read_text()


@pytest.mark.parametrize("text", ["config: [", "- a\n", "config:\n  skyrig:nodes: {}\n", "config:\n a: 1\n  b: 2\n"])
def test_a_file_that_cannot_be_read_is_named(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(BadInput, match=r"Pulumi\.s\.yaml") as refused:
        config.read_shape("s")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("skyrig:nodez: [n0]", "Pulumi.s.yaml:2: unknown config key skyrig:nodez (did you mean skyrig:nodes?)"),
        ("skyrigg:nodes: [n0]", "Pulumi.s.yaml:2: unknown config key skyrigg:nodes (did you mean skyrig:nodes?)"),
        ("nodes: [n0]", "did you mean skyrig:nodes?"),
        ("skyrig:cloud: locl", "did you mean 'local'?"),
        ("skyrig:nodes: [n0, n0]", "'n0' stands there twice"),
        ("skyrig:cpus: many", "no whole number"),
    ],
)
def test_a_slip_is_named_with_the_nearest_right_word(file: Path, line: str, says: str) -> None:
    file.write_text(f"config:\n  {line}\n")
    with pytest.raises(BadInput) as refused:
        config.read_shape("s")
    assert says in str(refused.value)
