"""Metadata of machines: what they are told at their first boot, and who may log in."""

import pulumi

from components.boot import BootArgs, user_data
from components.gcp.image import container
from components.hostkey import HostKey
from skyrig.catalog.instances import InstanceType

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""Scope of the machines' identity: what it may do is said by its roles alone."""


def metadata(
    kind: InstanceType,
    fabric: str,
    host: str,
    image: str,
    key: HostKey,
    client_key: pulumi.Input[str],
    ends_at: int = 0,
) -> dict[str, pulumi.Input[str]]:
    """Metadata of the machine `host` of a type, with the software of a `fabric`: user data alone says who logs in, no
    key of the project does. `ends_at` is when its time to live is over, in seconds since the epoch (0: never)."""

    def written(known: list[str]) -> str:
        args: BootArgs = {
            "cloud": "gcp",
            "host": host,
            "host_private_key": known[0],
            "host_public_key": known[1],
            "client_key": known[2],
            "fabric": fabric,
            "accelerator": kind.accelerator,
            "accelerator_count": kind.accelerator_count,
            "container": container(image),
            "ends_at": ends_at,
        }
        return user_data(args)

    keys = pulumi.Output.all(key.private_key, key.public_key, client_key)
    return {
        "user-data": pulumi.Output.secret(keys.apply(written)),
        "block-project-ssh-keys": "TRUE",
        "enable-oslogin": "FALSE",
        "serial-port-enable": "FALSE",
    }
