"""Mends of meaning: what a `run` text of several nodes surely means but does not say, added without touching the text.

A text that runs elsewhere with one launcher that reaches all nodes by itself runs here on every node at once. Where
that would leave each node alone with itself, a mend gives what is missing: a variable where the text's author has set
none, a program that stands before the real one on the text's PATH, or a wait at the end. Each has one line that says
so. What a text says itself always counts. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from attrs import field, frozen

from skyrig import places
from skyrig.launch import commands
from skyrig.launch.commands import Command

SHIMS = places.shipped() / "templates" / "launch" / "shims"
"""Folder of the programs that can stand on a text's PATH."""

_TORCH_MODULES = ("torch.distributed.run", "torch.distributed.launch")
_TORCH_FLAGS = frozenset(["standalone", "m", "module", "no_python", "run_path", "use_env"])
_DEEPSPEED_FLAGS = frozenset(
    ["module", "no_python", "no_local_rank", "no_ssh", "no_ssh_check", "force_multi", "save_pid", "bind_cores_to_rank"]
)
_NO_LAUNCH = {"echo", "printf", "pip", "pip3", "uv", "apt", "apt-get", "conda", "which", "type", "pkill", "grep", "cat"}
_MULTI_WORKER = re.compile(r"\bMultiWorkerMirroredStrategy\b|\bTFConfigClusterResolver\b")
_ONE_NODE = ("1", "1:1")


@frozen
class Mend:
    """`kind` names it, `note` is one line for the user. `env`: variables that get the value of another one where they
    have none. `shims`: programs by name, first on the PATH of the text. `stays`: ranks other than 0 whose text has
    ended well stay, with what it left running, until rank 0 has ended."""

    kind: str
    note: str
    env: Mapping[str, str] = field(factory=dict)
    shims: Mapping[str, str] = field(factory=dict)
    stays: bool = False


def of_run(text: str, num_nodes: int) -> tuple[Mend, ...]:
    """The mends of a `run` text on so many nodes; none on one."""
    if num_nodes < 2:
        return ()
    found = commands.read(text)
    mends = (_torchrun(text, found), _deepspeed(found), _ray(text, found), _tensorflow(text))
    return tuple(mend for mend in mends if mend is not None)


def names_conda(text: str) -> bool:
    """Whether a text calls conda."""
    return any(command.words[0] == "conda" for command in commands.read(text))


def _torchrun(text: str, found: Sequence[Command]) -> Mend | None:
    """torchrun takes itself for node 0 where nobody tells it: on every node, so they never meet."""
    calls = [_options(words, _TORCH_FLAGS) for words in _calls(found, "torchrun", _TORCH_MODULES)]
    lost = [given for given in calls if _wants_a_rank(given)]
    if not lost or "PET_NODE_RANK" in text:
        return None
    if any(_is_single(given) for given in calls):
        note = "torchrun runs here for one node and for several: give those of several --node-rank $SKYPILOT_NODE_RANK"
        return Mend("torchrun", note)
    env = {"PET_NODE_RANK": "SKYPILOT_NODE_RANK"}
    if any("master_addr" not in given for given in lost):
        env |= {"PET_MASTER_ADDR": "MASTER_ADDR", "PET_MASTER_PORT": "MASTER_PORT"}
    named = ", ".join(f"{name}=${value}" for name, value in env.items())
    return Mend("torchrun", f"torchrun with --nnodes and no --node-rank: {named} (it reads these)", env)


def _wants_a_rank(given: Mapping[str, str]) -> bool:
    nodes = re.sub(r"\$\{[^}]*\}", "$", given.get("nnodes", "1"))
    return nodes not in _ONE_NODE and ":" not in nodes and not _has_own_way(given)


def _is_single(given: Mapping[str, str]) -> bool:
    """Whether a rank from outside may harm it: many versions of torch would wait for a rank 0 that does not come."""
    return given.get("nnodes", "1") in _ONE_NODE and not _has_own_way(given)


def _has_own_way(given: Mapping[str, str]) -> bool:
    return any(name in ("node_rank", "standalone") or name.startswith("rdzv") for name in given)


def _deepspeed(found: Sequence[Command]) -> Mend | None:
    """DeepSpeed's launcher wants to run on one node and to reach the others by pdsh. Run on every node, it finds no
    hostfile and trains on each by itself."""
    for words in _calls([command for command in found if not command.some_nodes], "deepspeed"):
        given = _options(words, _DEEPSPEED_FLAGS)
        several = given.get("num_nodes", "1") != "1" or not given.keys().isdisjoint({"hostfile", "H"})
        if several and given.keys().isdisjoint({"no_ssh", "node_rank", "launcher"}):
            note = "deepspeed on every node: it gets --no_ssh, its node rank, the job's hostfile and master address"
            return Mend("deepspeed", note, shims={"deepspeed": shim("deepspeed")})
    return None


def _ray(text: str, found: Sequence[Command]) -> Mend | None:
    """`ray start` returns at once and leaves Ray behind, which would end with the text of its rank. The nodes stay
    together by MASTER_PORT: a text that uses it for itself must see to that too."""
    if "MASTER_PORT" in text:
        return None
    for words in _calls(found, "ray"):
        if words[:1] == ["start"] and "--block" not in words:
            note = "`ray start` leaves Ray running: nodes whose text has ended stay until rank 0 has ended"
            return Mend("ray", note, stays=True)
    return None


def _tensorflow(text: str) -> Mend | None:
    """A script in the text that asks TensorFlow for several workers finds them in TF_CONFIG."""
    if "TF_CONFIG" in text or not _MULTI_WORKER.search(text):
        return None
    note = "MultiWorkerMirroredStrategy: TF_CONFIG=$SKYRIG_TF_CONFIG, one worker a node"
    return Mend("tensorflow", note, {"TF_CONFIG": "SKYRIG_TF_CONFIG"})


@cache
def shim(name: str) -> str:
    """Text of a program that can stand on a text's PATH."""
    return (SHIMS / name).read_text()


def _calls(found: Sequence[Command], program: str, modules: Sequence[str] = ()) -> Iterator[list[str]]:
    """Words behind every call of `program`, or of one of `modules` by `-m`."""
    for command in found:
        words = list(command.words)
        if words[0] in _NO_LAUNCH and words[1:2] != ["run"]:
            continue
        for at, word in enumerate(words):
            by_module = at > 0 and words[at - 1] == "-m" and word in modules
            if word.rpartition("/")[2] == program or by_module:
                yield words[at + 1 :]
                break


def _options(words: Sequence[str], flags: frozenset[str]) -> dict[str, str]:
    """A launcher's own options, up to the script: names without dashes, with `_` for `-`."""
    given: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if word.startswith("-"):
            if not equals and name not in flags:
                at += 1
                value = words[at] if at < len(words) else ""
            given[name] = value
        elif not word.startswith("$"):
            break
        at += 1
    return given
