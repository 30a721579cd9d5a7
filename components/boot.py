"""What a machine is told at its first boot: cloud-init user data, out of templates/cloud-init. Pure functions."""

from typing import TypedDict

import jinja2

from components.describe import USER
from skyrig import places


class BootArgs(TypedDict):
    """What the user data of one node is made from."""

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


def user_data(args: BootArgs) -> str:
    """The user data: a #cloud-config document that pins the host key, makes the user, checks drivers, stripes local
    disks into one scratch disk, and puts the programs in place by which the node ends itself."""
    folder = places.shipped() / "templates" / "cloud-init"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # YAML and shell: values go through tojson or the shell filter
    )
    return environment.get_template("node.yaml.j2").render(user=USER, **args)
