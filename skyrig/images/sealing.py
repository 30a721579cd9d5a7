"""What is done on a builder last, before its image is made: a script, out of templates/images. Pure functions."""

from __future__ import annotations

from skyrig import places, shell_templates
from skyrig.errors import BadInput
from skyrig.images import unkept

TEMPLATES = places.shipped() / "templates"


def clouds() -> tuple[str, ...]:
    """The clouds whose builders can be sealed, sorted."""
    return tuple(sorted(file.parent.name for file in TEMPLATES.glob("images/*/seal.sh")))


def text(cloud: str, user: str = "ubuntu") -> str:
    """The script for a builder on a cloud, run by bash as root: `user` is who logs in there. Its arguments name what
    stays below ~/.skyrig. When it is done nobody can log in any more. BadInput for a cloud without images."""
    if cloud not in clouds():
        raise BadInput(f"no machine images are made on {cloud}", hint=f"they are on {', '.join(clouds())}")
    names = (*unkept.CREDENTIALS, *unkept.LEFTOVERS)
    return shell_templates.rendered(TEMPLATES, "images/seal.sh.j2", cloud=cloud, user=user, unkept=names)
