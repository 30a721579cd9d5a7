"""`python -m skyrig.schedulers.kubernetes look|remove`: what the stack of a cluster's queue asks of it.

The request is one JSON object on standard input, the answer one on standard output; an error is {"error": LINE} and
exit code 1.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from skyrig.errors import SkyrigError
from skyrig.schedulers.kubernetes import look
from skyrig.schedulers.kubernetes.api import Where


def main() -> None:
    """See the module's text."""
    request, code = json.load(sys.stdin), 0
    where = Where(request["context"], request["namespace"])
    answer: dict[str, Any] = {}
    try:
        if sys.argv[1] == "look":
            answer = asyncio.run(look.described(where, request["stack"], request["owner"]))
        else:
            asyncio.run(look.removed(where, request["stack"]))
    except SkyrigError as error:
        answer, code = {"error": str(error)}, 1
    print(json.dumps(answer))
    sys.exit(code)


if __name__ == "__main__":
    main()
