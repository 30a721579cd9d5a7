"""What verbs do with image stacks, as a process of a user's own: `python image_calls.py CALL ARGUMENTS-AS-JSON`."""

import json
import sys

from attrs import asdict

from skyrig.cluster.imagery import WantedImage
from skyrig.errors import SkyrigError
from skyrig.stack import described, imagestacks


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(call: str, given: dict[str, str]) -> object:
    """The answer to one call, as plain data."""
    if call == "source":
        builder = described.last(given["stack"])
        assert builder is not None
        return asdict(imagestacks.source(builder, given["account"]))
    if call == "make":
        source = dict(given.pop("made_of"))  # type: ignore[call-overload]
        facts = tuple((key, value) for key, value in source.pop("facts"))
        wanted = WantedImage(**given, source=source["id"], size_gb=source["size_gb"], facts=facts)
        return imagestacks.make(wanted, tell).to_json()
    if call == "copy":
        return imagestacks.copy(given["name"], given["region"], tell).to_json()
    if call == "there":
        made = imagestacks.read(given["name"])
        asked = imagestacks.of_cloud(given["cloud"])
        return made is not None and asked is not None and asked.is_there(made, given["region"])
    if call == "all":
        return [each.to_json() for each in imagestacks.all_known()]
    assert call == "delete"
    return imagestacks.delete(given["name"], tell)


try:
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
except SkyrigError as error:
    tell(f"{error.message} ({error.hint})")
    sys.exit(error.exit_code)
