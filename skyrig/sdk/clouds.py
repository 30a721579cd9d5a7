"""Clouds as objects, `sky.AWS()`, for programs that say so instead of `infra='aws'`. Two of one cloud are equal."""

from __future__ import annotations


class Cloud:
    """A cloud; its text is its name, which stands in any letter case wherever a cloud is named."""

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


def named(name: str | None) -> Cloud | None:
    """The cloud that a normal form calls `name`; None for none."""
    return None if name is None else _BY_NAME[name]()


class AWS(Cloud):
    """Amazon Web Services."""


class Azure(Cloud):
    """Microsoft Azure."""


class Cudo(Cloud):
    """Cudo Compute."""


class DO(Cloud):
    """DigitalOcean."""


class Fluidstack(Cloud):
    """Fluidstack."""


class GCP(Cloud):
    """Google Cloud."""


class Hyperbolic(Cloud):
    """Hyperbolic."""


class IBM(Cloud):
    """IBM Cloud."""


class Kubernetes(Cloud):
    """A Kubernetes cluster."""


class Lambda(Cloud):
    """Lambda."""


class Local(Cloud):
    """Nodes on this machine."""


class Mithril(Cloud):
    """Mithril."""


class Nebius(Cloud):
    """Nebius."""


class OCI(Cloud):
    """Oracle Cloud."""


class Paperspace(Cloud):
    """Paperspace."""


class PrimeIntellect(Cloud):
    """Prime Intellect."""


class RunPod(Cloud):
    """RunPod."""


class SCP(Cloud):
    """Samsung Cloud Platform."""


class Seeweb(Cloud):
    """Seeweb."""


class Shadeform(Cloud):
    """Shadeform."""


class Slurm(Cloud):
    """A Slurm cluster."""


class SSH(Cloud):
    """Machines of your own."""


class Vast(Cloud):
    """Vast."""


class Verda(Cloud):
    """Verda."""


class Vsphere(Cloud):
    """VMware vSphere."""


class Yotta(Cloud):
    """Yotta."""


_BY_NAME = {kind.__name__.lower(): kind for kind in Cloud.__subclasses__()}
