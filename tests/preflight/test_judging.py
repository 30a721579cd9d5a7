"""What a preflight means, as cases: findings and measurements on one side, verdicts on the other."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from attrs import evolve
from hypothesis import given

from skyrig.preflight import clocks, report
from skyrig.preflight.asked import Asked, Devices, Expected
from skyrig.preflight.clocks import Offset, Reading
from skyrig.preflight.findings import Accelerator, Adapter, Disk, Findings, Gpu, Nic, Port
from skyrig.preflight.report import BAD, OK, WARN, Measured, PairRate
from skyrig.preflight.verdict import Seen, judged

NODES = [f"n{number}" for number in range(4)]
GPUS = tuple(Gpu(index, "NVIDIA H100 80GB HBM3", driver="570.1", nvlinks=18, ecc_uncorrected=0) for index in range(8))
PORTS = tuple(Port(f"mlx5_{index}", 1, "ACTIVE", 400.0, "InfiniBand", usable=True) for index in range(8))
GOOD = Findings("h", "6.1", 1e9, gpus=GPUS, on_bus=8, nics=(Nic("eth0", "10.0.0.1", 100.0, True),), ib=PORTS,
                efa=(Adapter("rdmap0", "ACTIVE", 100.0, True),), disks=(Disk("/", 500.0, 1000.0, True),),
                driver="570.1")  # fmt: skip
ASKED = Asked(devices=Devices("H100", 8, ib=8, efa=1))


def changed_gpu(**more: object) -> Findings:
    """The good node with another first GPU."""
    return evolve(GOOD, gpus=(evolve(GPUS[0], **more), *GPUS[1:]))


CASES = {
    "a GPU is missing": (evolve(GOOD, gpus=GPUS[:7]), BAD, "it has 7 of 8 H100 accelerators"),
    "another GPU": (changed_gpu(name="NVIDIA L4"), BAD, "it has NVIDIA L4 where H100 is expected"),
    "no driver": (evolve(GOOD, gpus=(), driver=""), BAD, "it has 0 of 8 H100 accelerators: no driver answers"),
    "memory errors": (changed_gpu(ecc_uncorrected=3), BAD, "accelerator 0 has 3 uncorrected memory errors"),
    "throttled": (changed_gpu(throttled=("hw_thermal",)), WARN, "accelerator 0 is slowed down: hw_thermal"),
    "at its power cap": (changed_gpu(throttled=("sw_power_cap",)), OK, ""),
    "fewer NVLinks": (changed_gpu(nvlinks=12), BAD, "an accelerator has 12 NVLinks, those of the others 18"),
    "another driver": (evolve(GOOD, driver="560.2"), WARN, "its driver is 560.2, that of the others 570.1"),
    "a port is down": (
        evolve(GOOD, ib=(evolve(PORTS[0], state="DOWN"), *PORTS[1:])),
        BAD,
        "it has 7 of 8 InfiniBand or RoCE ports at full rate",
    ),
    "a slow port": (
        evolve(GOOD, ib=(evolve(PORTS[0], rate_gbps=100.0), *PORTS[1:])),
        BAD,
        "an InfiniBand or RoCE port runs at 100 Gb/s, those of the others at 400",
    ),
    "no EFA": (evolve(GOOD, efa=()), BAD, "it has 0 of 1 EFA devices"),
    "a full disk": (evolve(GOOD, disks=(Disk("/", 2.0, 1000.0, True),)), WARN, "2.0 of 1000 GB are free at /"),
    "all is well": (GOOD, OK, ""),
}


@pytest.mark.parametrize("what", CASES)
def test_a_nodes_devices_are_judged_and_the_others_are_well(what: str) -> None:
    odd, status, why = CASES[what]
    seen = Seen(findings={node: odd if node == "n2" else GOOD for node in NODES})
    found = {node.id: node for node in judged("c", NODES, seen, ASKED).nodes}
    assert (found["n2"].status, "; ".join(found["n2"].reasons)) == (status, why)
    assert {node.status for node_id, node in found.items() if node_id != "n2"} == {OK}


@pytest.mark.parametrize(("state", "rate"), [("DOWN", 400.0), ("ACTIVE", 200.0)])
def test_a_port_for_control_does_not_stand_in_for_a_rail(state: str, rate: float) -> None:
    front = Port("mlx5_8", 1, "ACTIVE", 100.0, "InfiniBand", usable=True)
    odd = evolve(GOOD, ib=(evolve(PORTS[0], state=state, rate_gbps=rate), *PORTS[1:], front))
    (found,) = judged("c", ["n0"], Seen(findings={"n0": odd}), ASKED).nodes
    assert found.reasons == ("it has 7 of 8 InfiniBand or RoCE ports at full rate",)
    (found,) = judged("c", ["n0"], Seen(findings={"n0": evolve(GOOD, ib=(*PORTS, front))}), ASKED).nodes
    assert found.status == OK


@pytest.mark.parametrize(
    ("name", "kind", "called"),
    [
        ("tpu-v5e", "tpu", "TPU v5e"),
        ("Trainium2", "neuron", "Neuron"),
        ("MI300X", "amd", "gfx942"),
        ("Radeon Pro V520", "amd", "gfx1011"),
    ],
)
def test_accelerators_of_other_makers_count_too(name: str, kind: str, called: str) -> None:
    has = tuple(Accelerator(kind, index, called) for index in range(4))
    seen = Seen(
        findings={node: Findings("h", "k", 0.0, accelerators=has[: 3 if node == "n1" else 4]) for node in NODES}
    )
    found = judged("c", NODES, seen, Asked(devices=Devices(name, 4)))
    assert found.lines() == [f"n1: bad: it has 3 of 4 {name} accelerators"]


def test_of_what_no_probe_sees_nothing_is_said() -> None:
    seen = Seen(findings=dict.fromkeys(NODES, Findings("h", "k", 0.0)))
    assert judged("c", NODES, seen, Asked(devices=Devices("Gaudi HL-205", 8))).status == OK


def test_nvlinks_are_held_against_the_catalog() -> None:
    asked = evolve(ASKED, devices=evolve(ASKED.devices, nvlinks=18))
    assert judged("c", ["n0"], Seen(findings={"n0": GOOD}), asked).status == OK
    found = judged("c", ["n0"], Seen(findings={"n0": changed_gpu(nvlinks=17)}), asked)
    assert found.lines() == ["n0: bad: an accelerator has 17 of 18 NVLinks"]


def test_declared_accelerators_count_where_they_are_rehearsed() -> None:
    has = tuple(Accelerator("declared", index, "H100") for index in range(8))
    asked = Asked(devices=Devices("H100", 8, declared=True))
    seen = Seen(
        findings={node: Findings("h", "k", 0.0, accelerators=has[: 7 if node == "n1" else 8]) for node in NODES}
    )
    assert judged("c", NODES, seen, asked).bad == ("n1",)


@given(st.integers(0, 3), st.floats(5.2, 1e6), st.booleans(), st.floats(0, 0.05))
def test_the_clock_that_is_off_is_named_be_it_the_heads(odd: int, off_s: float, behind: bool, took_s: float) -> None:
    off_s = -off_s if behind else off_s
    own = {node: off_s if number == odd else 0.0 for number, node in enumerate(NODES)}
    heads = own["n0"]
    offsets = {node: Offset(own[node] - heads - took_s, own[node] - heads + took_s) for node in NODES}
    found = judged("c", NODES, Seen(offsets=offsets), Asked())
    assert found.bad == (NODES[odd],)


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert clocks.offset([Reading(10.0, 17.0, 20.0), Reading(30.0, 30.1, 30.2)]).middle == pytest.approx(0.0)
    late = clocks.offset([Reading(10.0, 17.0, 20.0)])
    assert clocks.skews({"n0": clocks.HEAD, "n1": clocks.HEAD, "n2": late})["n2"] == 0.0


def test_of_two_clocks_the_heads_is_believed() -> None:
    assert judged("c", ["n0", "n1"], Seen(offsets={"n0": Offset(0, 0), "n1": Offset(60, 60)}), Asked()).bad == ("n1",)


def test_what_falls_short_with_no_bad_node_is_a_remark() -> None:
    expected = Expected(400e9, 0.1, "the vendor")
    short = Seen(measured=Measured("torch nccl", 300e9, 1 << 30, 1.0))
    found = judged("c", NODES, short, Asked(expected=expected))
    assert (found.status, found.bad) == (WARN, ())
    assert found.remarks == ("an all-reduce reaches 300 GB/s, 400 GB/s (less 10%) are expected: the vendor",)
    for enough in (Measured("torch nccl", 365e9), Measured("tcp", 1e9), Measured("torch gloo", 1e9)):
        found = judged("c", NODES, evolve(short, measured=enough), Asked(expected=expected))
        assert (found.status, found.expected) == (OK, 360e9 if enough.is_nccls else 0.0)


def test_nodes_that_all_reach_little_are_a_remark_where_their_interfaces_are_quick() -> None:
    slow = Seen(findings={"n0": GOOD, "n1": GOOD}, pairs=(PairRate("n0", "n1", 6e6, alone=True),))
    assert judged("c", ["n0", "n1"], slow, Asked()).remarks[0].startswith("no two nodes reach more than 6 MB/s")
    assert not judged("c", ["n0", "n1"], slow, Asked()).bad
    old = evolve(GOOD, nics=(Nic("eth0", "10.0.0.1", 1.0, True),))
    assert not judged("c", ["n0", "n1"], evolve(slow, findings={"n0": GOOD, "n1": old}), Asked()).remarks
    quick = evolve(slow, pairs=(PairRate("n0", "n1", 6e6), PairRate("n1", "n2", 2e9)))
    assert not judged("c", ["n0", "n1"], quick, Asked()).remarks


def test_a_pair_that_nothing_passes_is_a_remark_where_both_reach_others() -> None:
    pairs = (
        PairRate("n0", "n1", 0.0), PairRate("n1", "n0", 0.0, alone=True), PairRate("n2", "n1", 1e9),
        PairRate("n0", "n2", 1e9), PairRate("n2", "n3", 0.0, alone=True),
    )  # fmt: skip
    found = judged("c", NODES, Seen(pairs=pairs, slow={"n3": (0.0, 1e9)}), Asked())
    assert found.remarks == ("nothing comes through between n0 and n1, each of which reaches others",)
    assert found.bad == ("n3",)


def test_a_report_is_read_back_as_it_was() -> None:
    seen = Seen(findings=dict.fromkeys(NODES, GOOD), silent={"n3": "it is gone"}, slow={"n1": (1e6, 1e9)})
    made = judged("c", NODES, seen, ASKED)
    assert report.from_json(made.to_json()) == made
    assert made.lines() == [
        "n1: bad: its link carries 1 MB/s, those of others 1 GB/s",
        "n3: bad: it is gone",
    ]
    with pytest.raises(ValueError, match="no report"):
        report.from_json({"cluster": 1})
