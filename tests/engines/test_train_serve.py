"""From training to serving as its user does it: train, serve, ask with the official client, down; nothing is left."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from engine_server import greedy
from user import User, end_nodes, until

torch = pytest.importorskip("torch")
openai = pytest.importorskip("openai")
pytest.importorskip("fastapi")

pytestmark = pytest.mark.e2e
SMALL = ("--steps", "12", "--text", "60000", "--batch", "2", "--save-every", "12")
PROMPT = "def main(self, "


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    person = User(tmp_path, f"m{os.getpid()}")
    person.env["OMP_NUM_THREADS"] = "1"
    yield person
    end_nodes(person.home)


@pytest.mark.soak
def test_train_serve_ask_down(user: User, mingpt: SimpleNamespace) -> None:
    told = user.run("serve", "-y", check=2).err.decode()
    assert "there is no model to serve yet" in told
    trained = user.run("train", "--nodes", "1", "--strategy", "plain", "--", *SMALL, timeout=300)
    assert "model mingpt (" in trained.err.decode()
    own = its_own_model(user, mingpt)

    served = user.run("serve", "-y", timeout=300)
    endpoint = next(line for line in served.lines if re.fullmatch(r"127\.0\.0\.1:\d+", line))
    with openai.OpenAI(base_url=f"http://{endpoint}/v1", api_key="none", max_retries=0) as client:
        assert [each.id for each in client.models.list()] == ["mingpt"]
        parts = list(
            client.completions.create(model="mingpt", prompt=PROMPT, max_tokens=40, temperature=0, stream=True)
        )
        assert len(parts) > 5, "it streams"
        assert "".join(part.choices[0].text for part in parts) == own(PROMPT, 40)
        chat = client.chat.completions.create(
            model="mingpt", messages=[{"role": "user", "content": PROMPT}], max_tokens=8, temperature=0
        )
        assert chat.choices[0].message.content == own(PROMPT, 8)
    (seen,) = user.json("serve.status")["services"]
    assert (seen["status"], seen["endpoint"]) == ("READY", endpoint)

    user.run("serve.down", "-y")
    user.run("down", "-y")
    until(lambda: not user.processes(str(user.home)), "all processes have ended")
    assert not list((user.home / "local").glob("[!.]*"))
    assert json.loads(user.run("serve.status", "--json").out) == {"services": []}


def its_own_model(user: User, mingpt: SimpleNamespace) -> partial[str]:
    """What the example's model says by itself, as its training left it on the node."""
    (kept,) = (user.home / "local" / user.stack / "n0" / "home" / "runs").glob("*/model.pt")
    found = torch.load(kept, weights_only=True)
    model = mingpt.model.GPT(mingpt.model.Sizes(**found["sizes"]))
    model.load_state_dict(found["model"])
    return partial(greedy, mingpt, model.eval(), found["vocabulary"])
