"""What a pod runs first: a shell script, out of templates/cloud-init/runpod. A pure function."""

import base64
import gzip

from components import boot
from skyrig.clouds.runpod.api import HOME


def script(args: boot.BootArgs) -> str:
    """The script: it pins the host key, lets the client in, puts the node's programs in place, and becomes sshd."""
    programs = {
        name: _packed(text) for name, text in boot.programs_of(args).items() if name in ("end", "stop", "expire")
    }
    template = boot.environment().get_template("runpod/boot.sh.j2")
    return template.render(
        folder=boot.FOLDER,
        home=HOME,
        host_private_key=args["host_private_key"],
        client_key=args["client_key"],
        programs=programs,
    )


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
