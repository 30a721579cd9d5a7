"""Where the controller's table lies, as the user says: nowhere said, it is a file in SKYRIG_HOME; a url of PostgreSQL
is in the variable SKYRIG_CONTROL_DB, or as `jobs.controller_db` in SKYRIG_HOME/config.yaml."""

from __future__ import annotations

import os
import secrets
from urllib.parse import urlsplit

from skyrig import places
from skyrig.control import settings
from skyrig.errors import BadInput

VARIABLE = "SKYRIG_CONTROL_DB"
_SCHEMES = ("postgresql", "postgres")


def url() -> str:
    """The url of the PostgreSQL; "" where the table is a file. BadInput for any other url."""
    given = os.environ.get(VARIABLE) or settings.read().controller_db
    if given and urlsplit(given).scheme not in _SCHEMES:
        where = VARIABLE if os.environ.get(VARIABLE) else "jobs.controller_db"
        raise BadInput(f"{where}: a url of PostgreSQL is wanted", hint="postgresql://USER:PASSWORD@HOST/DATABASE")
    return given


def shown(given: str) -> str:
    """A url without what is secret in it, for people."""
    parts = urlsplit(given)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def home() -> str:
    """What this SKYRIG_HOME is called in a database that it shares with others; made at first use."""
    file = places.home() / "id"
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        fresh = places.made(file.parent) / f".id.{os.getpid()}"
        fresh.write_text(secrets.token_hex(8) + "\n")
        try:
            os.link(fresh, file)
        except FileExistsError:  # somebody else was quicker
            pass
        finally:
            fresh.unlink()
        return file.read_text().strip()


def is_known() -> bool:
    """Whether this SKYRIG_HOME ever had a name in a database."""
    return (places.home() / "id").exists()
