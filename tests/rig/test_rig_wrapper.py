"""The pulumi wrapper: what it sets and what it leaves alone, in every state of the user's login."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from rig_clone import PROGRAMS, ROOT, engine_programs, script

from skyrig import places

# what the user has: environment, text of credentials.json (None: no file); what of the backend and passphrase is set
OURS, THEIRS = True, False
LOGINS = {
    "nothing": ({}, None, OURS, OURS),
    "no login in the file": ({}, '{"current": "", "accessTokens": {}}', OURS, OURS),
    "accounts but none current": ({}, '{"accounts": {"x": {"accessToken": "t"}}}', OURS, OURS),
    "backend by variable": ({"PULUMI_BACKEND_URL": "s3://bucket"}, None, THEIRS, THEIRS),
    "access token": ({"PULUMI_ACCESS_TOKEN": "pul-1"}, None, THEIRS, THEIRS),
    "login in the file": ({}, '{\n    "current": "file://~",\n "accounts": {}}', THEIRS, THEIRS),
    "login in one line": ({}, '{"accessTokens":{},"current":"azblob://x"}', THEIRS, THEIRS),
    "own passphrase": ({"PULUMI_CONFIG_PASSPHRASE": "secret"}, None, OURS, THEIRS),
    "own empty passphrase": ({"PULUMI_CONFIG_PASSPHRASE": ""}, None, OURS, THEIRS),
    "own passphrase file": ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/p"}, None, OURS, THEIRS),
    "empty variables": ({"PULUMI_BACKEND_URL": "", "PULUMI_CONFIG_PASSPHRASE_FILE": ""}, None, OURS, OURS),
}
FAKE_ENGINE = """#!/bin/sh
echo "$*" >>"$HOME/calls"
case "$*" in
    "stack --show-name --non-interactive") [ -e "$HOME/selected" ] && echo dev ;;
    "stack select --create dev --non-interactive")
        touch "$HOME/selected"
        stacks=${PULUMI_BACKEND_URL#file://}/.pulumi/stacks/skyrig
        mkdir -p "$stacks" && touch "$stacks/dev.json"
        ;;
    *) env; [ ! -e "${PULUMI_CONFIG_PASSPHRASE_FILE-}" ] || echo "READ=$(cat "$PULUMI_CONFIG_PASSPHRASE_FILE")" ;;
esac
"""


class Wrapper:
    """An environment with the wrapper, a fake engine that prints its environment, and a home."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.root.joinpath("stacks").mkdir(parents=True)
        self.root.joinpath("Pulumi.yaml").write_text("name: skyrig\nruntime: python\nstackConfigDir: stacks/\n")
        text = ROOT.joinpath("tools", "rig", "pulumi.sh").read_text()
        self.program = script(self.root / ".venv" / "bin" / "pulumi", text.replace("@ENGINE@", "3.258.0"))
        self.engine = engine_programs(folder / "the engine")
        script(self.engine / "pulumi", FAKE_ENGINE)
        self.root.joinpath(".venv", ".rig").mkdir()
        self.root.joinpath(".venv", ".rig", "engine").write_text(f"{self.engine}\n")
        self.data = self.home / ".local" / "share" / "skyrig"

    def run(self, *arguments: str, folder: Path | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run the wrapper in `folder`, by default outside the clone."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **extra}
        command = [self.program, *arguments]
        where = folder or self.home
        return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)

    def seen(self, *arguments: str, folder: Path | None = None, **extra: str) -> dict[str, str]:
        """The environment that the engine sees."""
        done = self.run(*arguments, folder=folder, **extra)
        assert done.returncode == 0, done.stderr
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def calls(self) -> list[str]:
        """The arguments of every call of the engine so far."""
        return self.home.joinpath("calls").read_text().splitlines()


@pytest.fixture
def wrapper(tmp_path: Path) -> Wrapper:
    """A wrapper of its own for each test."""
    return Wrapper(tmp_path)


@pytest.mark.parametrize("name", LOGINS)
def test_backend_and_passphrase_are_ours_only_where_the_user_has_neither(wrapper: Wrapper, name: str) -> None:
    variables, credentials, our_backend, our_passphrase = LOGINS[name]
    if credentials is not None:
        wrapper.home.joinpath(".pulumi").mkdir()
        wrapper.home.joinpath(".pulumi", "credentials.json").write_text(credentials)
    seen = wrapper.seen("whoami", **variables)
    backend = f"file://{wrapper.data}/state" if our_backend else variables.get("PULUMI_BACKEND_URL")
    assert seen.get("PULUMI_BACKEND_URL") == backend
    passphrase = str(wrapper.data / "passphrase")
    theirs = variables.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    assert seen.get("PULUMI_CONFIG_PASSPHRASE_FILE") == (passphrase if our_passphrase else theirs)
    assert seen.get("PULUMI_CONFIG_PASSPHRASE") == variables.get("PULUMI_CONFIG_PASSPHRASE")
    assert wrapper.data.exists() is our_backend


def test_login_in_the_users_own_pulumi_home_counts(wrapper: Wrapper) -> None:
    place = wrapper.home / "elsewhere"
    place.mkdir()
    place.joinpath("credentials.json").write_text('{"current": "s3://b"}')
    assert "PULUMI_BACKEND_URL" not in wrapper.seen("whoami", PULUMI_HOME=str(place))


def test_home_is_private_and_the_passphrase_random_and_lasting(wrapper: Wrapper, tmp_path: Path) -> None:
    wrapper.seen("whoami")
    secret = wrapper.data / "passphrase"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(wrapper.data.stat().st_mode) == stat.S_IMODE((wrapper.data / "state").stat().st_mode) == 0o700
    first = secret.read_text()
    assert re.fullmatch(r"[0-9a-f]{48}", first)
    wrapper.seen("whoami")
    assert secret.read_text() == first
    other = tmp_path / "other"
    wrapper.seen("whoami", SKYRIG_HOME=str(other))
    assert other.joinpath("passphrase").read_text() != first
    assert sorted(path.name for path in other.iterdir()) == ["passphrase", "state"]


def test_two_first_calls_at_once_agree_on_one_passphrase(wrapper: Wrapper) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(wrapper.home)}
    command = [wrapper.program, "whoami"]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(12)]
    read = {line for process in running for line in process.communicate(timeout=20)[0].splitlines() if "READ=" in line}
    assert [path.name for path in wrapper.data.iterdir() if path.name != "state"] == ["passphrase"]
    assert read == {f"READ={wrapper.data.joinpath('passphrase').read_text()}"}


def test_a_lost_passphrase_is_not_replaced_while_stacks_need_it(wrapper: Wrapper) -> None:
    wrapper.seen("whoami")
    wrapper.data.joinpath("state", ".pulumi", "stacks", "skyrig").mkdir(parents=True)
    wrapper.data.joinpath("state", ".pulumi", "stacks", "skyrig", "dev.json").write_text("{}")
    wrapper.data.joinpath("passphrase").unlink()
    done = wrapper.run("up")
    assert done.returncode == 5
    assert "passphrase is gone" in done.stderr
    assert not wrapper.data.joinpath("passphrase").exists()


HOMES: list[dict[str, str]] = [
    {},
    {"XDG_DATA_HOME": "/tmp/x data", "XDG_CACHE_HOME": "/tmp/x cache"},
    {"XDG_DATA_HOME": "relative", "XDG_CACHE_HOME": "relative"},
    {"XDG_DATA_HOME": "", "XDG_CACHE_HOME": ""},
    {"SKYRIG_HOME": "/tmp/own home", "SKYRIG_CACHE": "/tmp/own cache"},
    {"SKYRIG_HOME": "~/under home", "SKYRIG_CACHE": "~/under cache"},
    {"SKYRIG_HOME": "relative home", "SKYRIG_CACHE": "relative cache"},
    {"SKYRIG_HOME": "", "SKYRIG_CACHE": ""},
]


@pytest.mark.parametrize("variables", HOMES, ids=str)
def test_folders_are_those_of_skyrig_places(wrapper: Wrapper, variables: dict[str, str], tmp_path: Path) -> None:
    mapped = {name: value.replace("/tmp/", f"{tmp_path}/") for name, value in variables.items()}
    code = (
        "from skyrig import places as p; print(p.backend(), p.passphrase(), p.engine('3.258.0'), p.cache(), sep='\\n')"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(wrapper.home), "PYTHONPATH": str(ROOT), **mapped}
    python = ROOT / ".venv" / "bin" / "python"
    said = subprocess.check_output([python, "-c", code], env=environment, cwd=wrapper.home, text=True)
    backend, passphrase, engine, cache = said.splitlines()
    seen = wrapper.seen("whoami", **mapped)
    assert (seen["PULUMI_BACKEND_URL"], seen["PULUMI_CONFIG_PASSPHRASE_FILE"]) == (f"file://{backend}", passphrase)
    wrapper.root.joinpath(".venv", ".rig", "engine").unlink()
    assert f"engine is not in {engine}: run" in wrapper.run("whoami", **mapped).stderr
    own = "import folders; print(folders.cache())"
    tools = {**environment, "PYTHONPATH": str(ROOT / "tools" / "rig")}
    assert subprocess.check_output([python, "-B", "-c", own], env=tools, cwd=wrapper.home, text=True).strip() == cache


def test_the_environment_comes_first_then_the_engine(wrapper: Wrapper) -> None:
    seen = wrapper.seen("version")
    assert seen["PATH"] == f"{wrapper.program.parent}:{wrapper.engine}:{os.environ['PATH']}"
    assert seen["PULUMI_SKIP_UPDATE_CHECK"] == "true"


NEEDS_STACK = {
    "up --yes": True,
    "preview": True,
    "destroy --yes": True,
    "refresh": True,
    "config": True,
    "stack": True,
    "stack output cluster --json": True,
    "stack ls": False,
    "stack init other": False,
    "stack select other": False,
    "up --stack other": False,
    "up -s other": False,
    "-C /elsewhere up": False,
    "up --cwd=/elsewhere": False,
    "up --help": False,
    "whoami": False,
    "version": False,
    "plugin ls": False,
    "": False,
}


@pytest.mark.parametrize("words", NEEDS_STACK)
def test_in_the_clone_dev_is_selected_where_a_command_needs_a_stack(wrapper: Wrapper, words: str) -> None:
    wrapper.seen(*words.split(), folder=wrapper.root / "stacks")
    made = ["stack --show-name --non-interactive", "stack select --create dev --non-interactive"]
    assert wrapper.calls() == [*(made if NEEDS_STACK[words] else []), words]
    wrapper.home.joinpath("calls").unlink()
    wrapper.seen(*words.split(), folder=wrapper.root)
    assert wrapper.calls() == [words], "the second time nothing is asked"


def test_a_selected_stack_stays(wrapper: Wrapper) -> None:
    wrapper.home.joinpath("selected").touch()
    wrapper.seen("up", folder=wrapper.root)
    assert wrapper.calls() == ["stack --show-name --non-interactive", "up"]


def test_a_new_home_gets_a_stack_of_its_own(wrapper: Wrapper, tmp_path: Path) -> None:
    wrapper.seen("up", folder=wrapper.root)
    wrapper.home.joinpath("selected").unlink()
    wrapper.seen("up", folder=wrapper.root, SKYRIG_HOME=str(tmp_path / "new"))
    assert wrapper.calls().count("stack select --create dev --non-interactive") == 2


@pytest.mark.parametrize("where", ["outside", "own login", "stack by variable"])
def test_elsewhere_no_stack_is_made(wrapper: Wrapper, where: str) -> None:
    variables = {"own login": {"PULUMI_BACKEND_URL": "s3://b"}, "stack by variable": {"PULUMI_STACK": "x"}}
    wrapper.seen("up", folder=wrapper.home if where == "outside" else wrapper.root, **variables.get(where, {}))
    assert wrapper.calls() == ["up"]


PREPARED = ("up", "update", "preview", "pre", "destroy", "down", "dn", "refresh", "config refresh", "stack rm")


@pytest.mark.parametrize("words", [*PREPARED, "config set a:b c", "stack ls", "whoami"])
@pytest.mark.parametrize("where", ["clone", "second clone", "outside"])
def test_skyrig_prepares_what_works_on_a_stack_of_ours(wrapper: Wrapper, words: str, where: str) -> None:
    second = wrapper.home / "second" / "stacks"
    second.mkdir(parents=True)
    shutil.copy(wrapper.root / "Pulumi.yaml", second.parent)
    script(wrapper.program.with_name("python"), '#!/bin/sh\necho "python $*"\n')
    folder = {"clone": wrapper.root, "second clone": second, "outside": wrapper.home}[where]
    said = wrapper.run(*words.split(), "--stack", "x", folder=folder).stdout
    prepared = f"python -I -m skyrig.stack.plain {wrapper.engine}/pulumi {words} --stack x\n"
    assert (said == prepared) is (words in PREPARED and where != "outside")
    direct = wrapper.seen(*words.split(), "--stack", "x", folder=folder, SKYRIG_PULUMI_DIRECT="1")
    assert "SKYRIG_PULUMI_DIRECT" not in direct and wrapper.calls()[-1] == f"{words} --stack x"


SALTED = "config:\n  skyrig:nodes:\n    - n0\nencryptionsalt: v1:old\n"


@pytest.mark.parametrize(
    ("text", "command", "kept"),
    [
        (SALTED, "up", "config:\n  skyrig:nodes:\n    - n0\n"),
        (SALTED, "stack init dev", "config:\n  skyrig:nodes:\n    - n0\n"),
        (SALTED, "stack init other", SALTED),
        ("config:\n  x:\n    secure: v1:abc\n" + SALTED[8:], "up", None),
        ("config: {}\n", "up", None),
    ],
)
def test_a_config_from_another_home_is_taken_over_but_for_its_salt(
    wrapper: Wrapper, text: str, command: str, kept: str | None
) -> None:
    file = wrapper.root / "stacks" / "Pulumi.dev.yaml"
    file.write_text(text)
    wrapper.seen(*command.split(), folder=wrapper.root)
    assert file.read_text() == (text if kept is None else kept)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_salt_of_a_stack_that_is_there_comes_from_its_state(wrapper: Wrapper, tmp_path: Path) -> None:
    wrapper.seen("up", folder=wrapper.root)
    file = wrapper.root / "stacks" / "Pulumi.dev.yaml"
    state = wrapper.data / "state" / ".pulumi" / "stacks" / "skyrig" / "dev.json"
    state.write_text('{"secrets_providers": {\n  "type": "passphrase",\n  "state": {\n "salt": "v1:a/b+c=:v1:d=="}}}')
    file.write_text(SALTED)
    wrapper.seen("up", folder=wrapper.root)
    assert file.read_text() == SALTED, "in the same home nothing is looked at"
    wrapper.home.joinpath("selected").unlink()
    wrapper.seen("up", folder=wrapper.root, SKYRIG_HOME=str(tmp_path / "new"))
    assert "encryptionsalt" not in file.read_text()
    file.write_text(SALTED)
    wrapper.seen("up", folder=wrapper.root)
    assert file.read_text() == SALTED.replace("v1:old", "v1:a/b+c=:v1:d==")


@pytest.mark.e2e
def test_the_real_engine_takes_it(wrapper: Wrapper, tmp_path: Path) -> None:
    noted = ROOT / ".venv" / ".rig" / "engine"
    engine = Path(noted.read_text().strip()) if noted.exists() else places.engine("3.258.0")
    assert all(engine.joinpath(name).exists() for name in PROGRAMS)
    wrapper.root.joinpath(".venv", ".rig", "engine").write_text(f"{engine}\n")
    for home in ("first", "second", "first"):
        extra = {"SKYRIG_HOME": str(tmp_path / f"the {home}"), "PULUMI_HOME": str(tmp_path / "pulumi")}
        for words in ("config set skyrig:x 1", "config set --secret skyrig:y 2", "config rm skyrig:y"):
            done = wrapper.run(*words.split(), folder=wrapper.root, **extra)
            assert done.returncode == 0, done.stderr
        assert wrapper.run("stack", "--show-name", folder=wrapper.root, **extra).stdout == "dev\n"
