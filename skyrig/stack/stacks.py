"""What can be done with a stack as a whole: find it, bring it up, look, refresh it, take it away."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from skyrig.catalog import refusals
from skyrig.cluster import ports
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.shape import Shape, stack_name
from skyrig.errors import BadInput, EngineError, SkyrigError
from skyrig.progress import Kind, Step, activity
from skyrig.stack import (
    adoption,
    agreement,
    backend,
    config,
    deployed,
    described,
    engine,
    foreseen,
    guard,
    kinds,
    limits,
    lock,
    pending,
    project,
    rebuilding,
    risks,
    spent,
    sweep,
)
from skyrig.stack.foreseen import Forecast
from skyrig.stack.progress import Changes, Progress
from skyrig.stack.risks import Risk

DEFAULT = "dev"
"""The stack that is used where none is named or selected."""

_PAUSES_S = (5.0, 15.0, 45.0)
"""How long after a run that a cloud has throttled the next one begins. Providers have tried for minutes by then."""

_MOST_SAID = 3
"""How many differences from a plan are told."""

_RETRY_S = 2.0
"""How long after the engine has found the stack locked it is tried again, in seconds."""

Notify = Callable[[str], None]
"""Takes one line of progress for the reader."""


def selected() -> str:
    """The selected stack, without asking the engine: PULUMI_STACK, else the engine's own note, else `dev`."""
    given = os.environ.get("PULUMI_STACK")
    if given:
        return stack_name(given.rpartition("/")[2])
    try:
        note = json.loads(project.selection_file(backend.engine_home()).read_bytes())
        name = note.get("stacks", {}).get(backend.url(), "") or note.get("stack", "")
    except (OSError, ValueError, AttributeError):
        name = ""
    return str(name).rpartition("/")[2] or DEFAULT


def known() -> list[str]:
    """Names of all clusters of this project on the backend, sorted: its stacks but those of data and images. Cheap
    on a file backend."""
    return [stack for stack in everything() if kinds.of(stack) is kinds.CLUSTER]


def everything() -> list[str]:
    """Names of all stacks of this project on the backend, sorted; cheap on a file backend."""
    base = backend.folder()
    if base is not None:
        return sorted(file.stem for file in (base / "stacks" / NAMESPACE).glob("*.json"))
    listed = json.loads(engine.query(["stack", "ls", "--json"]))
    return sorted(str(entry["name"]).rpartition("/")[2] for entry in listed)


def exists(stack: str) -> bool:
    """Whether the backend has this stack, empty or not, as a cluster's."""
    return is_there(stack) and kinds.of(stack) is kinds.CLUSTER


def is_there(stack: str) -> bool:
    """Whether the backend has this stack, empty or not, whatever it holds."""
    return stack in everything()


def is_data(stack: str) -> bool:
    """Whether a stack is a data stack: what it has, or else its config, is buckets alone."""
    return kinds.of(stack) is kinds.DATA


def refuse_data(stack: str) -> None:
    """BadInput where `stack` is one of data or of an image: no cluster is ever made in one."""
    refuse_other(stack, kinds.CLUSTER)


def has_buckets(stack: str) -> bool:
    """Whether a stack has buckets, beside a cluster or alone."""
    return kinds.has_buckets(stack)


def settled(stack: str, notify: Notify) -> Shape:
    """The shape that the stack's config asks for, once the config is no older than the last deployment. Whoever works
    out a new shape starts from this one."""
    stack_name(stack)
    if is_there(stack):
        agreement.settle(stack, notify)
    return config.read_shape(stack)


def up(
    stack: str,
    shape: Shape | None,
    notify: Notify,
    *,
    refresh: bool = True,
    before: Shape | None = None,
    may: Callable[[list[Risk]], bool] = lambda found: True,
    planned: Forecast | None = None,
) -> Changes:
    """Make the stack what its config says, after writing `shape` (if given) there, so that plain `pulumi up` means
    the same afterwards. Makes the stack if it is not there. With `refresh`, nodes that are gone come back. `before`
    is the shape that `shape` was worked out from: nodes that the config has got since then, while another run was
    waited for, stay; ports that it has got stay in any case. `may` is asked before nodes on a paid cloud are replaced
    or deleted; where it says no, the config is as before, and that is BadInput. So it is where the engine would do
    anything else than what was `planned`: nothing is made then, and no stack."""
    stack_name(stack)
    if shape is not None:
        refuse_other(stack, kinds.of_shape(shape))

    def make(at_work: int) -> Changes:
        is_new, had_config = not is_there(stack), project.config_file(stack).exists()
        _ready(stack, notify)
        now = config.read_shape(stack)
        wanted = now if shape is None else with_ports(shape if before is None else joined(shape, now, before), now)
        within_limits(stack, wanted)
        wanted = counted(wanted)
        if shape is not None or wanted != now:
            config.write_shape(stack, wanted)
        guard.check(stack, wanted)
        _resolve_pending(stack, lambda: config.read_shape(stack), notify, at_work)
        looks = ["--refresh"] if refresh and not _is_new(stack) else []
        with tempfile.TemporaryDirectory(prefix="skyrig-up-") as folder:
            bound = [str(Path(folder) / "plan")] if planned is not None else []
            try:
                _looked(stack, looks, bound, planned, may, at_work)
            except BadInput:
                config.write_shape(stack, now)
                if is_new:
                    _unmade(stack, had_config)
                raise
            flags = ["--skip-preview", *looks, *(f"--plan={each}" for each in bound)]
            try:
                changes = _change(["up", *flags], stack, notify, at_work)
            finally:
                _keep(stack, notify)
        agreement.note_seen(stack, config.read_shape(stack))
        return changes

    return _in_turn("up", stack, notify, make)


def within_limits(stack: str, shape: Shape) -> list[str]:
    """BadInput where making the stack `shape` would break a limit on what is spent; else what should be known of
    budgets that are nearly spent."""
    return limits.check(stack, shape, everything)


def counted(shape: Shape) -> Shape:
    """`shape` with a time to live that counts from now, where nobody has counted it yet or it is over."""
    ttl, now = shape.policy.ttl, time.time()
    if ttl is None or ttl.ends_at > now or shape.power == "down":
        return shape
    return evolve(shape, policy=evolve(shape.policy, ttl=evolve(ttl, ends_at=0.0).counted(now)))


def preview(stack: str, notify: Notify = lambda line: None) -> Changes:
    """What `up` would change. Changes nothing but a config that is missing here or older than the last deployment."""

    def look(at_work: int) -> Changes:
        agreement.settle(stack, notify)
        document = json.loads(engine.query(["preview", "--json"], stack=stack, at_work=at_work))
        counts = document.get("changeSummary", {})
        return Changes(*(int(counts.get(name, 0)) for name in ("create", "update", "replace", "delete")))

    return _in_turn("preview", stack, notify, look)


def refresh(stack: str, notify: Notify) -> Changes:
    """Ask the cloud what is still there; what is gone leaves the state."""

    def ask(at_work: int) -> Changes:
        _ready(stack, notify, lenient=True)
        _guard(stack)
        _resolve_pending(stack, lambda: config.read_shape(stack), notify, at_work)
        return _change(["refresh", "--skip-preview"], stack, notify, at_work)

    return _in_turn("refresh", stack, notify, ask)


def down(stack: str, notify: Notify) -> Changes:
    """Destroy everything the stack has, and write that into its config. The stack itself, its config and its job
    records stay. BadInput for a stack that is no cluster's: what is in such a one is deleted by its name."""
    kind = kinds.of(stack)
    if kind is not kinds.CLUSTER:
        raise BadInput(f"{stack} holds {kind.holds} and is no cluster", hint=kind.deleted)
    return end(stack, notify)


def end(stack: str, notify: Notify) -> Changes:
    """As `down`, whatever the kind of the stack; whoever calls has asked the user."""

    def destroy(at_work: int) -> Changes:
        _ready(stack, notify, lenient=True)
        shape = _want_down(stack, notify)
        if shape is not None:
            guard.check(stack, shape)
        _resolve_pending(stack, lambda: None, notify, at_work)
        try:
            changes = _change(["destroy", "--skip-preview"], stack, notify, at_work)
        finally:
            _keep(stack, notify)
        described.forget(stack, notify)
        if shape is not None:
            sweep.sweep(stack, shape, notify)
        return changes

    return _in_turn("destroy", stack, notify, destroy)


def remove(stack: str, notify: Notify) -> None:
    """Forget a stack of which nothing is left, with its config; what it cost and the records of its jobs stay.
    SkyrigError where something is left."""

    def forget(at_work: int) -> Changes:
        if backend.has_anything(stack):
            raise SkyrigError(f"stack {stack} still holds something", hint=f"`down -c {stack}`")
        _keep(stack, notify)
        _removed(stack)
        project.config_file(stack).unlink(missing_ok=True)
        described.forget(stack, notify)
        return Changes()

    _in_turn("stack rm", stack, notify, forget)


def take_over(
    stack: str,
    shape: Shape,
    identify: rebuilding.Identify,
    keys: rebuilding.Keys,
    notify: Notify,
    may: Callable[[list[str]], bool],
) -> Changes:
    """Make a stack whose state is lost anew around what is there, as `shape` says that it is; nodes are taken as they
    are. One that was cut off on its way is gone on with. `may` is asked before anything is made that costs money.
    SkyrigError, with the state as it is by then, where an up would make, replace or delete a node."""

    def take(at_work: int) -> Changes:
        if not is_there(stack) or rebuilding.is_empty(stack):
            if (past := deployed.last(stack)) is not None:
                agreement.note_seen(stack, past)
            config.write_shape(stack, shape)
            _ready(stack, notify)
            _guard(stack)
            rebuilding.rebuild(stack, identify, keys, at_work)
        else:
            _ready(stack, notify, lenient=True)
            _guard(stack)
            _resolve_pending(stack, lambda: config.read_shape(stack), notify, at_work)
        changes = _change(["refresh", "--skip-preview"], stack, notify, at_work)
        paid = rebuilding.refuse_nodes(json.loads(engine.query(["preview", "--json"], stack=stack, at_work=at_work)))
        if paid and not may(paid):
            raise BadInput(f"stack {stack}: {', '.join(paid)} would be made", hint="-y agrees to that")
        changes += _change(["up", "--skip-preview"], stack, notify, at_work)
        agreement.note_seen(stack, config.read_shape(stack))
        return changes

    return _in_turn("adopt", stack, notify, take)


def take_config(stack: str) -> None:
    """After a plain `pulumi config refresh`: the engine takes the config of the last run over even if that one failed
    or never began, so its shape is put right here."""
    if is_there(stack):
        agreement.take(stack)


def prepare(stack: str, verb: str, notify: Notify, at_work: int | None = None, *, sure: bool = False) -> None:
    """For a plain `pulumi VERB` that is about to run: what the verbs here do before the engine. With the descriptor
    `at_work` of `lock.held`, what a killed run has left is settled too; `sure` says that nobody will be asked, so that
    a destroy may end what is nobody's. A stack that does not exist is left to the engine."""
    if not is_there(stack):
        return
    adoption.adopt(stack, notify)
    _ready(stack, notify, lenient=verb in ("destroy", "refresh"))
    _guard(stack)
    if verb == "up":
        shape = config.read_shape(stack)
        for line in within_limits(stack, shape):
            notify(line)
        config.write_shape(stack, counted(shape))
    if at_work is not None and verb != "refresh":
        gone = verb == "destroy" and sure
        _resolve_pending(stack, lambda: None if gone else config.read_shape(stack), notify, at_work)


def joined(wanted: Shape, now: Shape, before: Shape) -> Shape:
    """`wanted`, and after its nodes those that `now` has beyond it and `before` had not; likewise its buckets, and
    the regions of its image."""
    known = {node.id for node in (*wanted.nodes, *before.nodes)}
    made = {(bucket.store, bucket.name) for bucket in (*wanted.buckets, *before.buckets)}
    more = tuple(bucket for bucket in now.buckets if (bucket.store, bucket.name) not in made)
    nodes = () if not wanted.nodes else (*wanted.nodes, *(node for node in now.nodes if node.id not in known))
    imaged = wanted.imaged
    if imaged is not None and now.imaged is not None and now.imaged.mark == imaged.mark:
        had = before.imaged.regions if before.imaged is not None else ()
        imaged = imaged.with_regions(*(region for region in now.imaged.regions if region not in had))
    return evolve(wanted, nodes=nodes, buckets=(*wanted.buckets, *more), imaged=imaged)


def with_ports(wanted: Shape, now: Shape) -> Shape:
    """`wanted` with the ports open that `now` has: only an edit of the config closes one, or the cluster's end."""
    return wanted if now.power == "down" else evolve(wanted, ports=ports.union(wanted.ports, now.ports))


def refuse_other(stack: str, wanted: kinds.Kind) -> None:
    """BadInput where `stack` is there and of another kind than `wanted`: what outlives clusters would go with one."""
    kind = kinds.of(stack) if is_there(stack) else wanted
    if kind is wanted:
        return
    if kind is kinds.CLUSTER:
        raise BadInput(
            f"stack {stack} is a cluster's and cannot hold {wanted.holds}", hint="name the cluster otherwise"
        )
    if wanted is kinds.CLUSTER:
        raise BadInput(f"{stack} holds {kind.holds} and is no cluster", hint="choose another name for the cluster")
    raise BadInput(f"{stack} holds {kind.holds} and cannot hold {wanted.holds}", hint="choose another name")


def _in_turn(verb: str, stack: str, notify: Notify, work: Callable[[int], Changes]) -> Changes:
    """Do `work` when the stack is free. Where only the engine knows of another one's lock (a shared backend), it is
    tried again until that one is done, within the same time."""
    waiting = lock.Waiting(stack, notify, lock.WAIT_S)
    work_on_it = Step(Kind.ENGINE, f"stack {stack}", f"pulumi {verb}")
    while True:
        try:
            with lock.held(stack, notify) as at_work, activity(notify, work_on_it):
                return work(at_work)
        except engine.Locked as error:
            holder = error.message
        with waiting.shown():
            waiting.turn(holder, _RETRY_S)


def _change(args: list[str], stack: str, notify: Notify, at_work: int) -> Changes:
    """Run the engine; again where its cloud was asked more than it takes: what is made stays made."""
    cloud, done = config.read_shape(stack).cloud, Changes()
    for pause_s in (*_PAUSES_S, None):
        progress = Progress(notify)
        try:
            engine.change(args, stack=stack, at_work=at_work, on_event=progress)
        except EngineError as error:
            if pause_s is None or refusals.kind(cloud, error.message) != "throttling":
                raise
            notify(f"{cloud} is asked too much ({refusals.code(cloud, error.message)}): again in {pause_s:.0f} s")
            time.sleep(pause_s)
        else:
            return done + progress.changes
        finally:
            progress.close()
        done += progress.changes
    raise AssertionError("the last try ends it")


def _ready(stack: str, notify: Notify, *, lenient: bool = False) -> None:
    """Make the stack; or, where it exists, bring this clone's config up to its last deployment (an up with an older
    one, or with the defaults, would take nodes away). Then the config can be read: BadInput where it makes no sense."""
    if not is_there(stack):
        config.fit_salt(stack, None)
        config.read_shape(stack)
        engine.query(["stack", "init", "--no-select", stack])
        return
    if (salt := backend.salt(stack)) is not None:
        config.fit_salt(stack, salt)
    if backend.folder() is not None:
        _keep(stack, notify)  # what a run that was cut off began is known until the next one begins
    try:
        agreement.settle(stack, notify, lenient=lenient)
    except BadInput as error:
        if not lenient:
            raise
        notify(f"{error.message}: passed over")


def _keep(stack: str, notify: Notify) -> None:
    """Bring the stack's ledger up to date: a stack is worked on also where that cannot be."""
    try:
        spent.keep(stack, alone=True)
    except (SkyrigError, OSError) as error:
        notify(f"what {stack} costs is not written down now: {error}")


def _looked(
    stack: str,
    looks: list[str],
    bound: list[str],
    planned: Forecast | None,
    may: Callable[[list[Risk]], bool],
    at_work: int,
) -> None:
    """Look at what an up would do where that may take nodes away, or was planned, before it does anything. BadInput
    where `may` says no, or it is something else. `bound` is where the engine's own plan is kept, which binds its up."""
    at_risk = config.read_shape(stack).is_rented and not _is_new(stack)
    if planned is None and not at_risk:
        return
    kept = [f"--save-plan={each}" for each in bound]
    document = json.loads(engine.query(["preview", "--json", *looks, *kept], stack=stack, at_work=at_work))
    if planned is not None and (differs := foreseen.differences(planned, foreseen.changes_in(document))):
        more = f" (and {len(differs) - _MOST_SAID} more)" if len(differs) > _MOST_SAID else ""
        said = "; ".join(differs[:_MOST_SAID]) + more
        raise BadInput(f"the plan of {stack} does not hold any more: {said}", hint="plan it again; nothing was made")
    found = risks.of(document) if at_risk else []
    if found and not may(found):
        raise BadInput(f"stack {stack} was not changed: {'; '.join(map(str, found))}", hint="-y agrees to that")


def _removed(stack: str) -> None:
    """Take a stack off the backend. The engine forgets with it which one is selected, whichever that is: it is written
    down again."""
    note = project.selection_file(backend.engine_home())
    before = note.read_bytes() if note.exists() and selected() != stack else None
    try:
        engine.query(["stack", "rm", "--yes", "--preserve-config"], stack=stack)
    finally:
        if before is not None:
            fresh = note.with_name(f".{note.name}.{os.getpid()}")
            fresh.write_bytes(before)
            fresh.replace(note)


def _unmade(stack: str, had_config: bool) -> None:
    """Take away a stack that was made for nothing."""
    _removed(stack)
    if not had_config:
        project.config_file(stack).unlink(missing_ok=True)


def _guard(stack: str) -> None:
    """No other account's stack is touched; a config that cannot be read names none, and stops nobody."""
    try:
        shape = config.read_shape(stack)
    except BadInput:
        return
    guard.check(stack, shape)


def _want_down(stack: str, notify: Notify) -> Shape | None:
    """Plain `pulumi up` shall not bring back what was taken away. A config that cannot be read stops nobody; else it
    is what the stack was."""
    try:
        shape = config.read_shape(stack)
        config.write_shape(stack, evolve(shape, power="down"))
    except BadInput as error:
        notify(f"{error.message}: power: down is not written there")
        return None
    return shape


def _resolve_pending(stack: str, wanted: Callable[[], Shape | None], notify: Notify, at_work: int) -> None:
    """Settle what a killed engine has left half-way. `wanted` tells what the stack shall have."""
    flags = pending.resolve(stack, wanted, notify)
    if flags is not None:
        notify(f"looking at what the cut-off run on stack {stack} has left")
        _change(["refresh", "--skip-preview", *flags], stack, notify, at_work)


def _is_new(stack: str) -> bool:
    state = backend.state(stack)
    return state is not None and not state.get("resources")
