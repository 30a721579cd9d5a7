"""Metadata of instances: what they are told at their first boot."""

import base64

import pulumi

from components.boot import BootArgs, user_data
from components.hostkey import HostKey
from components.oci.image import container
from skyrig.catalog.instances import InstanceType


def metadata(
    kind: InstanceType,
    fabric: str,
    host: str,
    image: str,
    key: HostKey,
    client_key: pulumi.Input[str],
    ends_at: int = 0,
) -> dict[str, pulumi.Input[str]]:
    """Metadata of the instance `host` of a type, with the software of a `fabric`: user data alone says who logs in.
    `ends_at` is when its time to live is over, in seconds since the epoch (0: never)."""

    def written(known: list[str]) -> str:
        args: BootArgs = {
            "cloud": "oci",
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
        return base64.b64encode(user_data(args).encode()).decode()

    keys = pulumi.Output.all(key.private_key, key.public_key, client_key)
    return {"user_data": pulumi.Output.secret(keys.apply(written))}
