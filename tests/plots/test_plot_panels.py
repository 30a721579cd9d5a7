"""From samples and curves to diagrams, in the terminal and in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skyrig.errors import BadInput
from skyrig.plots import panels, png, samples, terminal
from skyrig.plots.gathering import of_text
from skyrig.plots.values import Picture, Segment

LOG = b"""step 10 loss 4.0 tokens/s 1000 lr 0.001
step 20 loss 3.0 tokens/s 1100 lr 0.001
step 30 loss 2.5 tokens/s 1090 lr 0.001
(skyrig) attempt 2: n1 was lost
step 20 loss 3.1 tokens/s 1080 lr 0.001
step 30 loss 2.4 tokens/s 1100 lr 0.001
step 40 loss 2.0 tokens/s 1110 lr 0.001
"""


def lines(nodes: int, count: int = 20, **more: float) -> list[bytes]:
    """Samples of nodes, 5 s apart, with 60 s in which there are none."""
    rows = []
    for at in range(count):
        for node in range(nodes):
            moment = 1e9 + 5 * at + (60 if at >= count // 2 else 0)
            rows.append({"t": moment, "n": f"n{node}", "cpu": node + 0.5, "memory": 2.0**30, "received": 2e6, **more})
    return [json.dumps(row).encode() for row in rows]


def shown(picture: Picture, width: int = 80) -> str:
    """The picture as text."""
    return "\n".join("".join(text for text, _ in row).rstrip() for row in terminal.rows(picture, width))


def test_samples_are_sorted_by_node_and_time() -> None:
    found = samples.read([b'{"generation":0}', *reversed(lines(12)), b'{"t": 1, "n":', b"\xff"])
    assert [use.node for use in found] == [f"n{number}" for number in range(12)]
    assert all(list(use.at) == sorted(use.at) and len(use.at) == 20 for use in found)
    assert found[3].gauges["cpu"][0] == 3.5
    assert "gpu" not in found[0].gauges


def test_each_node_has_its_line_with_a_gap_where_samples_are_missing() -> None:
    drawn = {panel.title: panel for panel in panels.panels(Picture("p", nodes=samples.read(lines(3))))}
    assert list(drawn) == ["CPU use", "memory", "network, received and sent"]
    cpu = drawn["CPU use"]
    assert [line.label for line in cpu.lines] == ["n0", "n1", "n2"]
    assert [len(line.segments) for line in cpu.lines] == [2, 2, 2]
    assert (drawn["memory"].unit, drawn["memory"].lines[0].segments[0].y[0]) == ("GiB", 1.0)
    network = drawn["network, received and sent"]
    assert (network.unit, network.lines[0].segments[0].y[0]) == ("MB/s", 2.0)
    assert cpu.place == "time (s)"


def test_many_nodes_are_summed_up() -> None:
    cpu = panels.panels(Picture("p", nodes=samples.read(lines(20))))[0]
    assert [line.label for line in cpu.lines] == ["highest", "lowest", "median of 20 nodes"]
    highest, lowest, median = (line.segments[0].y[0] for line in cpu.lines)
    assert (highest, lowest, median) == (19.5, 0.5, 10.0)


def test_a_gpu_that_does_nothing_is_shown_and_a_disk_is_not() -> None:
    idle = Picture("p", nodes=samples.read(lines(1, gpu=0.0, gpu_power=0.0, read=0.0)))
    titles = [panel.title for panel in panels.panels(idle)]
    assert titles[0] == "GPU use"
    assert "GPU power" not in titles and "disk, read and written" not in titles


def test_what_a_run_went_back_from_is_told_from_what_stands() -> None:
    loss = panels.panels(Picture("p", of_text(LOG)))[0]
    (line,) = loss.lines
    assert panels.standing(line) == (Segment((10, 20)[:1], (4.0,)), Segment((20, 30, 40), (3.1, 2.4, 2.0)))
    assert panels.superseded(line) == (Segment((10, 20, 30), (4.0, 3.0, 2.5)),)
    assert loss.marks == ((30, "recovered"),)


def test_a_summary_at_the_end_is_not_the_throughput() -> None:
    log = (Path(__file__).parent / "cases" / "transformers-eval.log").read_bytes()
    assert [panel.unit for panel in panels.panels(Picture("p", of_text(log))) if panel.title == "throughput"] == [
        "steps/s"
    ]


def test_of_a_run_that_went_back_twice_what_the_last_way_did_again_is_all_superseded() -> None:
    steps = [*range(100), *range(50, 60), *range(20, 120)]
    (line,) = panels.panels(Picture("p", of_text("".join(f"step {step} loss 2\n" for step in steps).encode())))[0].lines
    assert [(each.x[0], each.x[-1]) for each in panels.standing(line)] == [(0, 19), (20, 119)]
    assert [(each.x[0], each.x[-1]) for each in panels.superseded(line)] == [(19, 99), (50, 59)]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (3e-4, "3.0e-4"), (0.25, "0.25"), (15203, "15.2k"), (1234, "1234"), (2.5e6, "2.5e6"), (-1.5, "-1.5")],
)
def test_numbers_are_short(value: float, said: str) -> None:
    assert panels.told(value) == said


def test_the_terminal_shows_units_marks_and_names() -> None:
    text = shown(Picture("mingpt on demo, job 3", of_text(LOG), samples.read(lines(2, gpu=93.0))))
    for words in (
        "mingpt on demo, job 3",
        "throughput (tokens/s)",
        "learning rate",
        "GPU use (%)",
        "━ n1",
        "recovered",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert "⠉" in text or "⠒" in text, "lines are drawn"


def test_a_narrow_terminal_that_knows_ascii_alone_shows_the_same() -> None:
    rows = [*terminal.rows(Picture("Bäume on demo, job 3", of_text(LOG), samples.read(lines(8))), 50)]
    assert max(sum(len(text) for text, _ in row) for row in rows) <= 50
    text = "\n".join("".join(text for text, _ in terminal.plain(row)) for row in rows)
    assert text.isascii()
    for words in ("B?ume on demo", *(f"= n{number}" for number in range(8)), "**", "recovered"):
        assert words in text, words


def test_a_file_has_the_same_as_text_that_can_be_read(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import matplotlib

    picture = Picture("mingpt on demo, job 3", of_text(LOG), samples.read(lines(2)))
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        png.draw(picture, tmp_path / "p.svg")
    text = (tmp_path / "p.svg").read_text()
    for words in (picture.title, "throughput (tokens/s)", "memory (GiB)", "time (s)", "n1", "recovered", "step"):
        assert words in text, words
    (tmp_path / "elsewhere.png").symlink_to(tmp_path / "none" / "p.png")
    with pytest.raises(BadInput, match="No such file"):
        png.draw(picture, tmp_path / "elsewhere.png")
    png.draw(picture, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["p.gif", "none/p.png", "folder.png"])
def test_a_file_that_cannot_be_drawn_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadInput):
        png.require(tmp_path / name)


def test_without_matplotlib_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="matplotlib") as refused:
        png.require(tmp_path / "p.png")
    assert "skyrig[plots]" in (refused.value.hint or "")
