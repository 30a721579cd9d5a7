"""Ports as values: ranges, what a stack's config holds, what a task adds, and how endpoints are shown."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from invoke.parser import Parser, ParserContext

from skyrig.cli.clusters import status
from skyrig.cluster import ports
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.cluster.shape import MOST_LOCAL_PORTS, Shape, from_config
from skyrig.errors import BadInput
from skyrig.fitting import note_served, ports_of, shape_for
from skyrig.stack import endpoints
from skyrig.stack.stacks import with_ports
from skyrig.task.model import Task
from skyrig.task.resources import Choice, Resources

SERVES = "uvicorn app:app --host 0.0.0.0 --port 8000"
NUMBERS = st.sets(st.one_of(st.integers(1, 65535), st.integers(8000, 8020)), max_size=30)


def task(run: str, *named: tuple[str, ...] | None) -> Task:
    """A task with this `run` text whose candidates name these ports."""
    return Task(run=run, choice=Choice(tuple(Resources(ports=each) for each in named or (None,))))


@given(NUMBERS, NUMBERS)
def test_ranges_are_sets(some: set[int], others: set[int]) -> None:
    one, two = ports.ranges(some), ports.ranges(others)
    assert ports.numbers(one) == sorted(some)
    assert ports.read(",".join(one)) == one
    assert ports.numbers(ports.union(one, two)) == sorted(some | others)
    assert ports.numbers(ports.missing(one, two)) == sorted(some - others)


@pytest.mark.parametrize("given", ["8000", 8000, "8000, ", "8000,8000-8000"])
def test_config_is_read_in_its_normal_form(given: object) -> None:
    assert from_config({"ports": given}).ports == ("8000",)


def test_the_default_is_not_written() -> None:
    assert "ports" not in Shape().to_config() and from_config({"ports": ""}) == Shape()
    assert from_config({"ports": "9001,8000,9000"}).to_config()["ports"] == "8000,9000-9001"


@pytest.mark.parametrize("given", ["http", "0", "65536", "9000-8000", "8000;9000", "-1", "1-2-3"])
def test_bad_config_names_the_word(given: str) -> None:
    with pytest.raises(BadInput, match=r"skyrig:ports: .*a port or a range of ports is wanted"):
        from_config({"ports": given})


def test_the_local_cloud_has_a_limit_and_clouds_have_none() -> None:
    fitting = f"1000-{999 + MOST_LOCAL_PORTS}"
    assert from_config({"ports": fitting}).ports == (fitting,)
    with pytest.raises(BadInput, match=f"{MOST_LOCAL_PORTS + 1} ports"):
        shape_for(from_config({"ports": fitting}), task("true", ("80",)))
    assert Shape(cloud="elsewhere", ports=("1-65535",)).ports


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (task("true"), ()),
        (task(SERVES), ("8000",)),
        (task(SERVES, ("9000",)), ("9000",)),
        (task("uvicorn app:app --port 8000"), ()),  # on loopback alone
        (task(SERVES, None, ("9000-9001",)), ("9000-9001",)),
        (Task(), ()),
    ],
)
def test_a_tasks_ports_are_those_it_names_or_plainly_serves_on(asked: Task, wanted: tuple[str, ...]) -> None:
    assert ports_of(asked) == wanted
    told: list[str] = []
    note_served(asked, told.append)
    assert len(told) == (wanted == ("8000",))


def test_a_task_adds_to_what_is_open_until_the_cluster_is_taken_down() -> None:
    there = from_config({"ports": "7000"})
    assert shape_for(there, task(SERVES)).ports == ("7000", "8000")
    assert shape_for(there, task("true")).ports == ("7000",)
    assert shape_for(there, None, ports=("9000",)).ports == ("7000", "9000")
    assert shape_for(there, None) == there
    assert shape_for(evolve(there, power="down"), task(SERVES)).ports == ("8000",)
    assert shape_for(evolve(there, power="down"), None).ports == ("7000",)


def test_what_another_run_has_opened_meanwhile_stays() -> None:
    mine, now = Shape(ports=("8000",)), Shape(ports=("9000",))
    assert with_ports(mine, now).ports == ("8000", "9000")
    assert with_ports(mine, evolve(now, power="down")) == mine


def test_long_runs_of_ports_are_shown_as_one() -> None:
    same = {port: f"127.0.0.1:{port}" for port in (80, *range(9000, 9100))}
    assert endpoints.shown(same) == {"80": "127.0.0.1:80", "9000-9099": "127.0.0.1:9000-9099"}
    assert list(endpoints.shown({port: same[port] for port in range(9000, 9064)})) == [
        str(p) for p in range(9000, 9064)
    ]
    moved = same | {9070: "127.0.0.1:40000"}
    shown = endpoints.shown(moved)
    assert shown["9000-9069"] == "127.0.0.1:9000-9069" and shown["9070"] == "127.0.0.1:40000"
    assert shown["9071"] == "127.0.0.1:9071" and endpoints.shown({}) == {}


@pytest.mark.parametrize(("isolation", "host"), [("plain", "127.0.0.1"), ("machine", "203.0.113.7")])
def test_a_node_that_is_reached_directly_has_its_own_ports(isolation: str, host: str) -> None:
    head = Node("n0", 0, host, 22, host, "u", "k", "i")
    cluster = ClusterDescription("c", "x", (head,), SshAccess("k"), "", isolation=isolation, ports=("80", "90-91"))
    assert endpoints.of(cluster) == {80: f"{host}:80", 90: f"{host}:90", 91: f"{host}:91"}


@pytest.mark.parametrize(
    ("words", "endpoint", "cluster"),
    [
        ("status --cluster=hf-serve --endpoint", True, ["hf-serve"]),
        ("status --endpoint -c hf-serve", True, ["hf-serve"]),
        ("status -c hf-serve --endpoint 8000", "8000", ["hf-serve"]),
        ("status --endpoint=8000 -c hf-serve --json", "8000", ["hf-serve"]),
        ("status -c hf-serve", None, ["hf-serve"]),
    ],
)
def test_invokes_parser_takes_a_port_or_none(words: str, endpoint: object, cluster: list[str]) -> None:
    parser = Parser(contexts=[ParserContext("status", args=status.get_arguments())])
    (found,) = parser.parse_argv(words.split())
    assert found.args["endpoint"].value == endpoint and found.args["cluster"].value == cluster
