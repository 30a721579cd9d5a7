"""What a machine is told at its first boot: cloud-init user data, out of templates/cloud-init. Pure functions."""

import base64
import functools
import gzip
import json
import shlex
from typing import TypedDict

import jinja2

from components.describe import USER
from skyrig import places
from skyrig.catalog import facts

FOLDER = "/opt/skyrig"
"""Folder of a node's own programs."""

_TEMPLATES = places.shipped() / "templates" / "cloud-init"


class NodeBootArgs(TypedDict):
    """What the user data of every node is made from."""

    cloud: str
    """Name of the cloud: templates/cloud-init/CLOUD/ holds what is its own."""
    host: str
    """Host name of the node."""
    host_private_key: str
    """The node's host key, OpenSSH text; the one secret."""
    host_public_key: str
    """Its public part, one OpenSSH line."""
    client_key: str
    """Public key that may log in."""
    fabric: str
    """Fabric of the node (skyrig.catalog.fabrics): none where it is not asked for."""
    accelerator: str
    """Name of its accelerators; "" on a CPU node."""
    container: str
    """Image of the container that jobs run in; "" where they run on the machine."""


class BootArgs(NodeBootArgs, total=False):
    """The same, and what most nodes do without."""

    accelerator_count: float
    """How many accelerators the node must find; 0, the default, is one at least where `accelerator` names some."""
    ends_at: int
    """When its cluster's time to live is over, in seconds since the epoch; 0, the default, is never."""
    lifetime_s: int
    """Longest time from a boot until the node ends itself, in seconds; 0, the default, is without end."""


def user_data(args: BootArgs) -> str:
    """The user data: a #cloud-config document that pins the host key, makes the user, checks drivers, stripes local
    disks into one scratch disk, and puts the programs in place by which the node stops and ends itself. The programs
    are compressed in it: a cloud takes 16 KiB (AWS) at most."""
    programs = {name: _packed(text) for name, text in programs_of(args).items()}
    template = environment().get_template("node.yaml.j2")
    return template.render(**_said(args), programs=programs)


def programs_of(args: BootArgs) -> dict[str, str]:
    """Text of each program that the node gets, by its name in FOLDER. `expire` is there for a
    node that does not live without end. `ready` (run once, at the first boot), `stop`, `end` and `fabric` are its
    cloud's own, where that has them: templates/cloud-init/CLOUD/{ready,stop,end,fabric-KIND}.* in any language, with a
    first line #!; that of a fabric may be the same for all (templates/cloud-init/fabric-KIND.*). One that is called
    *.j2 is a template, which knows the `facts` of the fabric too (skyrig.catalog.fabrics)."""
    templates, cloud = environment(), args["cloud"]
    sources = {"scratch": "scratch", "check": "check", **{name: f"{cloud}/{name}" for name in ("ready", "stop", "end")}}
    files = {file.removesuffix(".j2").rpartition(".")[0]: file for file in templates.list_templates()}
    if args["fabric"] != "none":
        own, common = f"{cloud}/fabric-{args['fabric']}", f"fabric-{args['fabric']}"
        sources["fabric"] = own if own in files else common
    if args.get("ends_at"):
        sources["expire"] = "expire"
    if args["container"]:
        sources["container"] = "container"
    there = {program: files[source] for program, source in sources.items() if source in files}
    return {program: _text(templates, file, args) for program, file in there.items()}


def _text(templates: jinja2.Environment, file: str, args: BootArgs) -> str:
    if file.endswith(".j2"):
        return templates.get_template(file).render(**_said(args))
    return (_TEMPLATES / file).read_text(encoding="utf-8")


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _said(args: BootArgs) -> dict[str, object]:
    about = facts.of(args["cloud"], "fabric").get(args["fabric"], {})
    absent = {"accelerator_count": 0, "lifetime_s": 0, "ends_at": 0}
    return {"user": USER, "folder": FOLDER, "facts": about, **absent, **args}


@functools.cache
def environment() -> jinja2.Environment:
    """Reads templates below templates/cloud-init; values go through its filters `json` and `shell`."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # YAML and shell: values go through the filters `json` and `shell`
    )
    made.filters["json"] = json.dumps
    made.filters["shell"] = shlex.quote
    return made
