"""`python -m skyrig.schedulers.slurm look|remove`: what the stack of a Slurm cluster asks of it.

The request is one JSON object on standard input, the answer one on standard output; an error is {"error": LINE} and
exit code 1.
"""

from __future__ import annotations

import json
import sys

from skyrig.errors import SkyrigError
from skyrig.schedulers.slurm import look


def main() -> None:
    """See the module's text."""
    request, code = json.load(sys.stdin), 0
    try:
        if sys.argv[1] == "look":
            answer = look.described(request["site"], request["partition"])
        else:
            look.remove(request["site"], request["base"])
            answer = {}
    except SkyrigError as error:
        answer, code = {"error": str(error)}, 1
    print(json.dumps(answer))
    sys.exit(code)


if __name__ == "__main__":
    main()
