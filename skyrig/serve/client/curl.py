"""The line by which a reader tries a service out."""

from __future__ import annotations

import shlex

from skyrig.serve.client.seen import Seen


def line(service: Seen) -> str:
    """A call of curl that works. A key is named by its variable, which is never opened here; a certificate of the
    user's own is taken unseen, as it is for another name than the one that is called."""
    words = ["curl"]
    if service.scheme == "https" and not service.domain:
        words.append("-k")
    if service.keys:
        words += ["-H", f'"Authorization: Bearer ${service.keys[0]}"']
    host, _, port = service.endpoint.rpartition(":")
    where = f"{service.scheme}://{service.domain or host}:{port}{service.path}"
    return " ".join([*words, shlex.quote(where)])
