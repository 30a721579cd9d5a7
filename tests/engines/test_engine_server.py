"""The server of a model on CPU, as its clients see it: the official `openai` package, and plain HTTP."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import pytest
from engine_server import greedy, posted, roughened, served

pytest.importorskip("torch")
openai = pytest.importorskip("openai")
pytest.importorskip("fastapi")

pytestmark = pytest.mark.e2e
NAME = "/srv/models/mingpt"
CONTEXT = 256


@pytest.fixture(scope="module")
def model(mingpt: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A model, its `folder`, and what it goes on with by itself (`greedy`)."""
    own, vocabulary = roughened(mingpt, mingpt.data.library_text(60_000), layers=2)
    folder = tmp_path_factory.mktemp("models") / "mingpt"
    mingpt.huggingface.save(own, vocabulary, folder)
    return SimpleNamespace(folder=folder, greedy=partial(greedy, mingpt, own, vocabulary))


@pytest.fixture(scope="module")
def endpoint(model: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of the one server of this file."""
    with served(model.folder, NAME, tmp_path_factory.mktemp("server")) as where:
        yield where


@pytest.fixture
def client(endpoint: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{endpoint}/v1", api_key="none", max_retries=0, timeout=60)


def test_a_completion_is_what_the_trained_model_says(client: openai.OpenAI, model: SimpleNamespace) -> None:
    prompt = "def main(self, "
    whole = client.completions.create(model=NAME, prompt=prompt, max_tokens=30, temperature=0)
    assert whole.choices[0].text == model.greedy(prompt, 30)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage and whole.usage.completion_tokens == 30
    assert whole.model == NAME
    parts = client.completions.create(model=NAME, prompt=prompt, max_tokens=30, temperature=0, stream=True)
    texts = [part.choices[0].text for part in parts]
    assert len(texts) > 5
    assert "".join(texts) == whole.choices[0].text


def test_a_chat_goes_on_with_the_last_words(client: openai.OpenAI, model: SimpleNamespace) -> None:
    said = [{"role": "system", "content": "x" * 300}, {"role": "user", "content": "import os\nclass "}]
    asked = {"model": NAME, "messages": said, "max_tokens": 20, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    prompt = ("x" * 300 + "\nimport os\nclass ")[-CONTEXT // 2 :]
    assert whole.choices[0].message.content == model.greedy(prompt, 20)
    parts = client.chat.completions.create(**asked, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in parts) == whole.choices[0].message.content


def test_the_one_model_is_listed_by_the_path_that_was_given(client: openai.OpenAI, endpoint: str) -> None:
    assert [each.id for each in client.models.list()] == [NAME]
    assert client.models.retrieve(NAME).id == NAME
    with urllib.request.urlopen(f"http://{endpoint}/models") as answer:
        assert [each["id"] for each in json.load(answer)["data"]] == [NAME]


def test_an_address_without_v1_serves_too(endpoint: str) -> None:
    client = openai.OpenAI(base_url=f"http://{endpoint}", api_key="none", max_retries=0)
    assert client.completions.create(model=NAME, prompt="a", max_tokens=1).usage
    status, answer = posted(f"http://{endpoint}/completions", b'{"prompt": "a", "max_tokens": 1}')
    assert (status, answer["object"]) == (200, "text_completion")


def test_an_answer_ends_where_the_context_does(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=NAME, prompt="x" * (CONTEXT - 6))
    assert answer.usage and answer.usage.completion_tokens == 6
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("completions", {"model": "gpt-4", "prompt": "a"}, 404, "'gpt-4' is not served here"),
        ("chat/completions", {"model": "gpt-4", "messages": [{"role": "user", "content": "a"}]}, 404, "not served"),
        ("completions", {"prompt": "x" * CONTEXT}, 400, "context is 256 tokens"),
        ("completions", {"prompt": ""}, 400, "empty"),
        ("completions", {"prompt": ["a"]}, 400, "string"),
        ("completions", {"prompt": "a", "max_tokens": 0}, 400, "at least 1"),
        ("completions", {"prompt": "a", "max_tokens": "many"}, 400, "cannot be understood"),
        ("chat/completions", {"messages": []}, 400, "messages"),
        ("chat/completions", {"messages": [{"content": "a"}]}, 400, "role"),
        ("completions", {"prompt": "a", "what": 1}, 422, "what"),
        ("load_model", {"model": "gpt2"}, 404, ""),
    ],
)
def test_what_cannot_be_is_refused_in_openais_words(
    endpoint: str, path: str, body: dict[str, object], status: int, said: str
) -> None:
    code, answer = posted(f"http://{endpoint}/v1/{path}", json.dumps(body).encode())
    assert code == status
    assert said in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


def test_no_json_is_400(endpoint: str) -> None:
    assert posted(f"http://{endpoint}/v1/completions", b"{")[0] == 400


def generated(endpoint: str) -> int:
    """Tokens that the server has generated, as Prometheus would read it."""
    with urllib.request.urlopen(f"http://{endpoint}/metrics") as answer:
        text = answer.read().decode()
    return int(re.findall(r"^skyrig_generated_tokens_total (\d+)$", text, re.M)[0])


def test_tokens_are_counted(client: openai.OpenAI, endpoint: str) -> None:
    before = generated(endpoint)
    client.completions.create(model=NAME, prompt="a", max_tokens=7)
    assert generated(endpoint) == before + 7
    list(client.completions.create(model=NAME, prompt="a", max_tokens=5, stream=True))
    assert generated(endpoint) == before + 12


def test_a_client_that_goes_away_ends_the_generation(client: openai.OpenAI, endpoint: str) -> None:
    before = generated(endpoint)
    with client.completions.create(model=NAME, prompt="a", stream=True) as parts:
        next(iter(parts))
    client.completions.create(model=NAME, prompt="a", max_tokens=1)  # waits its turn behind what is left of the other
    assert before < generated(endpoint) <= before + CONTEXT
    deadline = time.monotonic() + 10
    while (now := generated(endpoint)) > before + CONTEXT - 20:
        assert time.monotonic() < deadline, now - before
