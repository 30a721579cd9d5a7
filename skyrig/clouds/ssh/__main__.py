"""`python -m skyrig.clouds.ssh create|read|delete`: what a stack asks of the user's own machines.

The request is one JSON object on standard input, the answer one on standard output; an error is {"error": LINE} and
exit code 1.
"""

from __future__ import annotations

import json
import sys

from skyrig.clouds.ssh import lending
from skyrig.errors import SkyrigError

_VERBS = {"create": lending.create, "read": lending.read, "delete": lending.delete}


def main() -> None:
    """See the module's text."""
    request, code = json.load(sys.stdin), 0
    try:
        answer = _VERBS[sys.argv[1]](request)
    except SkyrigError as error:
        answer, code = {"error": str(error)}, 1
    print(json.dumps(answer))
    sys.exit(code)


if __name__ == "__main__":
    main()
