"""Machine images built and deleted: a node in a throw-away stack of its own is brought up by the ordinary way,
made ready by the ordinary setup, cleaned, switched off and kept as an image; then it goes.

Each step is written down before the next one begins. A build that was cut off anywhere goes on when it is asked for
again, or is given up by `delete`; what costs money meanwhile is a stack like any other, with a time to live.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import BinaryIO

from attrs import evolve, field, frozen

from skyrig import imaging, local, places, verbs
from skyrig.bringing import Confirm, Notify
from skyrig.cluster import clouds, imagery, owner, sites
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.imagery import MadeImage, Source, WantedImage
from skyrig.cluster.policy import Wish
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, JobFailed, SkyrigError
from skyrig.fitting import local_candidate, shape_for
from skyrig.images import building, containers, prepared, sealing
from skyrig.images.building import MADE, PREPARED, SEALED, SEALING, UNMARKED, Progress
from skyrig.images.prepared import Prepared
from skyrig.images.recipe import Recipe
from skyrig.launch import nodeside, records
from skyrig.launch.job import JobStatus
from skyrig.planning import setups
from skyrig.stack import agreement, backend, described, imagestacks, stacks
from skyrig.submitting import RunOptions
from skyrig.task.model import Task

LONGEST = "6h"
"""Time to live of a builder where nobody says another one."""

_PATIENCE_S = 20.0
_SEAL_S = 300.0


@frozen
class Wanted:
    """An image that shall be there: `task` says what its builder is and what its setup does; `before` are texts that
    run there first, by name, which belong to no task. `again` builds it also where it is there already."""

    name: str
    task: Task
    before: Mapping[str, str] = field(factory=dict)
    wish: Wish = field(factory=Wish)
    again: bool = False


def of_recipe(wanted: Wanted, recipe: Recipe, notify: Notify) -> Wanted:
    """`wanted`, whose task is the recipe's builder with what else was said of it, with the texts of the recipe. What
    needs a machine of a cloud is left out on nodes of the local one, which has this machine's, and that is said."""
    is_local = local_candidate(imaging.resolved(_begun_anew(wanted))) is not None
    if is_local and recipe.devices:
        notify(f"on the local cloud these say nothing: {', '.join(recipe.devices)}")
    return evolve(wanted, before=recipe.texts(devices=not is_local))


def build(wanted: Wanted, out: BinaryIO, notify: Notify, confirm: Confirm) -> MadeImage:
    """Have this image. What is there already, of the same recipe, stays as it is. BadInput for what cannot be, before
    anything is made; JobFailed, and no builder is left, where its setup fails."""
    name, begun_anew = imagery.check_name(wanted.name), _begun_anew(wanted)
    task = _builder_task(imaging.resolved(begun_anew), name)
    parts = setups.parts(task)
    before = {f"before:{key}": text for key, text in wanted.before.items()}
    digest = prepared.digest({**parts, **before, "begins:": _begins(begun_anew)})
    with building.alone(name):
        imagestacks.refuse_taken(name)
        made = imagestacks.read(name)
        progress = building.read(name)
        if made is not None and made.digest == digest and not wanted.again and progress is None:
            notify(f"image {name} is there already, of this recipe; --force builds it again")
            return made
        if made is not None and not (progress is not None and progress.has(MADE)):
            imagestacks.refuse_used(name, "replaced")
        if progress is not None and progress.digest != digest:
            notify(f"image {name}: a build of another recipe was cut off: removing its builder")
            _give_up(name, notify)
            progress = None
        if progress is None:
            _refuse_taken(name)
        if not stacks.is_there(building.builder_of(name)):
            task = _where_images_are(task)
        progress = progress or building.write(name, Progress(digest, salt=prepared.salt()))
        try:
            return _built(wanted, task, parts, progress, out, notify, confirm)
        except (SkyrigError, KeyboardInterrupt):
            _left(name, notify)
            raise


def delete(name: str, notify: Notify, confirm: Confirm) -> None:
    """Delete a machine image with all its copies, and what a build of it has left. BadInput where there is neither,
    while a cluster uses it, or without consent."""
    name = imagery.check_name(name)
    with building.alone(name):
        is_kept, begun = name in imagestacks.names(), building.read(name) is not None
        if not is_kept and not begun:
            if containers.read(name) is not None:
                raise BadInput(f"{name} is a container image", hint="--container deletes one of these")
            imaging.found(name)
        made = imagestacks.read(name)
        places_of = f" in {made.where}" if made is not None and imagery.EVERYWHERE not in made.ids else ""
        if not confirm(f"delete image {name}{places_of}?"):
            raise BadInput(f"image {name} stays", hint="answer y, or give -y")
        if begun:
            _give_up(name, notify)
        if is_kept:
            imagestacks.delete(name, notify)
        notify(f"image {name} is gone")


def _begun_anew(wanted: Wanted) -> Task:
    """The task of an image; one that names the image itself is what will be launched from it, and its builder begins
    without."""
    each = tuple(
        evolve(one, image=None) if one.image is not None and one.image.ours == wanted.name else one
        for one in wanted.task.choice.each
    )
    return evolve(wanted.task, choice=evolve(wanted.task.choice, each=each))


def _builder_task(task: Task, name: str) -> Task:
    """What the builder is brought up for: one node, on demand, with the task's setup and nothing to run."""
    each = tuple(
        evolve(one, ports=None, autostop=None, hooks=(), use_spot=None, job_recovery=None) for one in task.choice.each
    )
    return evolve(
        task, name=f"{name}-image", num_nodes=1, run=None, service=None, choice=evolve(task.choice, each=each)
    )


def _refuse_taken(name: str) -> None:
    """BadInput where a stack of somebody else's has the name of the builder: it would be set up, sealed and destroyed
    as one."""
    builder = building.builder_of(name)
    if stacks.is_there(builder):
        raise BadInput(
            f"there is a stack {builder} already, as the builder of image {name} would be called",
            hint="choose another name for the image",
        )


def _where_images_are(task: Task) -> Task:
    """`task` on the one cloud that it would be brought up on: BadInput where no machine images are made there, sooner
    than after a builder was paid for."""
    cloud = shape_for(Shape(), task).cloud
    if not imagestacks.makes(cloud):
        made_on = ", ".join(each for each in clouds.CLOUDS if imagestacks.makes(each))
        raise BadInput(f"no machine images are made on {cloud}", hint=f"--infra, one of {made_on}; or --container")
    each = tuple(
        one
        if one.infra.cloud is not None or cloud == sites.CLOUD
        else evolve(one, infra=evolve(one.infra, cloud=cloud))
        for one in task.choice.each
        if one.infra.cloud in (None, cloud)
    )
    return evolve(task, choice=evolve(task.choice, each=each))


def _begins(task: Task) -> str:
    """Where an image is wanted, and what its builder begins with, as far as that is said."""
    said = [
        [one.infra.cloud, sorted(map(str, one.image.by_region.items())) if one.image is not None else []]
        for one in task.choice.each
    ]
    return json.dumps(said)


def _built(
    wanted: Wanted,
    task: Task,
    parts: Mapping[str, str],
    progress: Progress,
    out: BinaryIO,
    notify: Notify,
    confirm: Confirm,
) -> MadeImage:
    """The image, from wherever its build has come to."""
    name, builder = wanted.name, building.builder_of(wanted.name)
    if progress.has(MADE):
        made = imagestacks.read(name)
        _give_up(name, notify)
        return made if made is not None else imaging.found(name)
    cluster = described.describe(builder)
    if not progress.has(SEALED):
        progress = _prepared(wanted, task, progress, out, notify, confirm)
        cluster = described.describe(builder)
        assert cluster is not None, "its setup has run there"
        cleaned = _cleaned(name, cluster, task, progress, notify)
        if cleaned is None:
            progress = _made_anew(name, progress, "was cut off while it was cleaned", notify)
            return _built(wanted, task, parts, progress, out, notify, confirm)
        progress = cleaned
    if cluster is None:
        notify(f"image {name}: its builder is gone: it is made anew")
        progress = building.write(name, Progress(progress.digest, salt=progress.salt))
        return _built(wanted, task, parts, progress, out, notify, confirm)
    shape = stacks.settled(builder, notify)
    notify(f"image {name}: switching its builder off")
    stacks.up(builder, evolve(shape, power="stopped"), notify, before=shape)
    if _machine(builder) != progress.machine:
        progress = _made_anew(name, progress, "was lost after it was cleaned", notify)
        return _built(wanted, task, parts, progress, out, notify, confirm)
    own = setups.cluster_variable(task.setup or "")
    kept = bool(task.setup) and own is None and not progress.has(UNMARKED)
    known = Prepared(progress.seconds, progress.salt, prepared.hashed(parts, progress.salt)) if kept else None
    made = imagestacks.make(_image(name, builder, shape, progress, known), notify, owner=owner.here())
    building.write(name, progress.past(MADE))
    _give_up(name, notify)
    priced = imagestacks.of_cloud(made.cloud)
    if priced is not None and (monthly := priced.monthly(made)) is not None:
        notify(f"image {name}: its storage costs at most ${monthly:.2f} a month")
    where = made.where if made.cloud == sites.CLOUD else f"{made.cloud} in {made.where}"
    notify(f"image {name} is on {where}: image_id: skyrig:{name}")
    return made


def _cleaned(name: str, cluster: ClusterDescription, task: Task, progress: Progress, notify: Notify) -> Progress | None:
    """The builder is ready to be an image; None where it was cut off in that before, and lets nobody in now."""
    again = progress.has(SEALING)
    progress = building.write(name, progress.past(SEALING))
    try:
        remembers = asyncio.run(_sealed(cluster, task))
    except SkyrigError:
        if again:
            return None
        raise
    if not remembers:
        notify(f"image {name}: setup changes files that each launch brings, so it will run on each node")
        progress = progress.past(UNMARKED)
    return building.write(name, progress.past(SEALED))


def _image(name: str, builder: str, shape: Shape, progress: Progress, known: Prepared | None) -> WantedImage:
    """What the engine is asked for, of a builder that is switched off."""
    machine, cluster = shape.machine, described.describe(builder, fresh=True)
    if cluster is None:
        raise SkyrigError(f"{builder} is gone", hint=f"`image.build {name}` again")
    if shape.cloud == sites.CLOUD:
        source, region = Source(f"{places.local_nodes(builder) / cluster.head.id}@{cluster.head.incarnation}"), ""
    else:
        source, region = imagestacks.source(cluster, machine.account), machine.region
    facts = dict(source.facts) | ({prepared.FACT: known.to_text()} if known is not None else {})
    return WantedImage(
        name=name,
        cloud=shape.cloud,
        region=region,
        source=source.id,
        digest=progress.digest,
        account=machine.account,
        labels=machine.labels,
        size_gb=source.size_gb,
        facts=tuple(sorted(facts.items())),
    )


def _prepared(
    wanted: Wanted, task: Task, progress: Progress, out: BinaryIO, notify: Notify, confirm: Confirm
) -> Progress:
    """All texts have run on the builder: each once, and the task's setup last, so that the node remembers it."""
    builder = building.builder_of(wanted.name)
    wish = wanted.wish if wanted.wish.ttl is not None else evolve(wanted.wish, ttl=LONGEST)
    texts = {**wanted.before, **({"setup": task.setup} if task.setup else {})}
    if progress.has(PREPARED):
        return progress
    for step, text in (texts or {"setup": ""}).items():
        if progress.has(step):
            continue
        what = evolve(task, setup=text or None)
        had = _last_job(builder)
        if step == "setup" and not progress.first_job:
            progress = building.write(wanted.name, evolve(progress, first_job=had + 1))
        asked = wish if described.describe(builder) is None else Wish()  # it would be written again, by an engine's run
        code = verbs.launch(what, builder, RunOptions(wish=asked), out, notify, confirm=confirm)
        if code != 0:
            _give_up(wanted.name, notify)
            raise JobFailed(f"image {wanted.name}: {step} has failed on its builder, which is gone", code=code)
        _refuse_open(builder, had, step, notify)
        machine = _machine(builder)
        if progress.machine not in ("", machine):
            notify(f"image {wanted.name}: another machine is its builder now: all of it is done there")
            progress = building.write(wanted.name, Progress(progress.digest, salt=progress.salt, machine=machine))
            return _prepared(wanted, task, progress, out, notify, confirm)
        progress = evolve(progress, machine=machine)
        took = _took(builder, progress.first_job) if step == "setup" else 0.0
        progress = building.write(wanted.name, progress.past(step, took))
    return building.write(wanted.name, progress.past(PREPARED))


def _machine(builder: str) -> str:
    """The incarnation of the builder; "" where there is none."""
    cluster = described.describe(builder)
    return cluster.head.incarnation if cluster is not None else ""


def _last_job(builder: str) -> int:
    return max((job.id for job in records.read(places.records(builder))), default=0)


def _refuse_open(builder: str, had: int, step: str, notify: Notify) -> None:
    """SkyrigError where the job that was launched after job `had` has not ended: whoever followed it went away."""
    newest = max(verbs.queue(builder, notify), key=lambda job: job.id, default=None)
    if newest is not None and newest.id > had and newest.status is not JobStatus.SUCCEEDED:
        raise SkyrigError(f"{step} has not ended on {builder}, and no image is made of it yet")


def _took(builder: str, first: int) -> float:
    """Seconds that the setup took, which ran in the job `first` or one after it: that of a run before this one, which
    was cut off, where it was skipped now."""
    ended = [job for job in records.read(places.records(builder)) if job.status is JobStatus.SUCCEEDED]
    times = [job.ended_at - job.started_at for job in ended if job.ended_at and job.started_at and job.id >= first]
    return max(times, default=0.0)


async def _sealed(cluster: ClusterDescription, task: Task) -> bool:
    """Make the builder ready to be an image (skyrig.launch.sealing); whether it remembers its setup. SkyrigError where
    that cannot be."""
    from skyrig.fleet.connection import Credentials, connect
    from skyrig.fleet.ssh import asyncssh
    from skyrig.fleet.target import from_description

    given = {
        "secrets": sorted(task.secrets),
        "script": sealing.text(cluster.cloud, cluster.head.user) if cluster.isolation == "machine" else "",
        "forget": setups.cluster_variable(task.setup or "") is not None,
        "patience_s": _PATIENCE_S if task.setup else 0.0,
    }
    command, stdin = nodeside.program("sealing", given)
    key = Credentials(cluster.ssh.private_key)
    try:
        target = from_description(cluster, cluster.head.id)
        async with await connect(target, key, deadline_s=_PATIENCE_S) as connection:
            done = await asyncio.wait_for(connection.run(command, input=stdin, encoding=None), _SEAL_S)
    except (asyncssh.Error, OSError, asyncio.TimeoutError) as error:
        raise SkyrigError(f"{cluster.name} could not be cleaned: {error}", hint="build the image again") from error
    told = f"{_text(done.stdout)}{_text(done.stderr)}"
    if done.exit_status != 0 or "sealed" not in told:
        said = told.strip().splitlines()
        raise SkyrigError(f"{cluster.name} could not be cleaned: {said[-1] if said else 'no word'}")
    return "sealed, with no setup" not in told


def _text(said: str | bytes | None) -> str:
    """What a program on a node has printed."""
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def _left(name: str, notify: Notify) -> None:
    """Say what becomes of a build that ends here. Nothing is known of one that was refused before there was a
    builder."""
    begun, builder = building.read(name), building.builder_of(name)
    if begun is None:
        return
    if begun.passed or backend.has_anything(builder) or described.describe(builder) is not None:
        notify(f"image {name}: the same command goes on with its builder; `image.delete {name}` removes it")
    else:
        _give_up(name, notify)


def _made_anew(name: str, progress: Progress, why: str, notify: Notify) -> Progress:
    """Give the builder up that was made so far: how far the build of the same recipe has come then."""
    notify(f"image {name}: its builder {why}: it is made anew")
    _give_up(name, notify)
    return building.write(name, Progress(progress.digest, salt=progress.salt))


def _give_up(name: str, notify: Notify) -> None:
    """Remove the builder and what is known of the build. What its jobs said stays in its records."""
    builder = building.builder_of(name)
    if stacks.is_there(builder):
        agreement.settle(builder, notify, lenient=True)
        stacks.down(builder, notify)
        local.sweep(builder, notify)
        stacks.remove(builder, notify)
    building.forget(name)
