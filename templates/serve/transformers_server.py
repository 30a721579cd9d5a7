"""Serves one model with the server of Hugging Face's Transformers: an OpenAI API on a CPU, or on whatever is there.

    python transformers_server.py --model FOLDER_OR_ID --name NAME --port PORT

It is the server of `transformers serve`, put together here for one model: /v1/models lists that one and needs no cache
of the hub; what does not fit into the model's context is refused, and an answer ends where the context ends; errors
have OpenAI's form; streams end with [DONE]; /metrics counts requests and tokens. Routes that load or drop models are
not there. The server listens once the model is loaded, so /health means that it can answer.
"""

import argparse
import time

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.completion import CompletionHandler
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.serving.response import ResponseHandler
from transformers.cli.serving.server import build_server
from transformers.cli.serving.utils import GenerateManager, GenerationState
from transformers.utils import logging

HELD_S = 75
"""Seconds that an idle connection is held: longer than a balancer keeps one, so that it is the balancer who ends it."""
KEPT = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/health")
"""The routes of Transformers' server that are served; the others load and drop models, or want other kinds of them."""


class Counters:
    """What /metrics tells."""

    def __init__(self):
        self.requests = self.prompt_tokens = self.generated_tokens = 0
        self.streams = set()

    def settle(self, streamer):
        """A stream has ended."""
        self.generated_tokens += streamer.total_tokens
        self.streams.discard(streamer)

    def text(self):
        """All of them as Prometheus reads them."""
        generated = self.generated_tokens + sum(streamer.total_tokens for streamer in self.streams)
        told = (
            ("generated_tokens", generated, "Tokens that the model has generated."),
            ("prompt_tokens", self.prompt_tokens, "Tokens of the prompts that it was given."),
            ("requests", self.requests, "Requests that it has begun to answer."),
        )
        lines = []
        for name, value, what in told:
            full = f"skyrig_{name}_total"
            lines += [f"# HELP {full} {what}", f"# TYPE {full} counter", f"{full} {value}"]
        return "\n".join(lines) + "\n"


class Generation(GenerateManager):
    """Generation that keeps inside the model's context, and is counted. `newest` is the stream that began last."""

    def __init__(self, counters):
        super().__init__()
        self.counters = counters
        self.newest = None

    def generate_streaming(self, model, processor, inputs, gen_config, request_id, response_parser=None):
        """See GenerateManager."""
        self._fit(model, inputs, gen_config)
        queue, self.newest = super().generate_streaming(
            model, processor, inputs, gen_config, request_id, response_parser=response_parser
        )
        self.counters.streams.add(self.newest)
        return queue, self.newest

    async def generate_non_streaming(self, model, processor, inputs, gen_config, request_id):
        """See GenerateManager."""
        self._fit(model, inputs, gen_config)
        found = await super().generate_non_streaming(model, processor, inputs, gen_config, request_id)
        self.counters.generated_tokens += len(found[2])
        return found

    def _fit(self, model, inputs, gen_config):
        """Have the answer end where the context does. HTTPException where there is no room for one."""
        given = inputs["input_ids"].shape[-1]
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if given == 0:
            raise HTTPException(400, "The prompt is empty.")
        if context is not None:
            if given >= context:
                raise HTTPException(
                    400, f"This model's context is {context} tokens; the prompt has {given}, which leaves no room."
                )
            gen_config.max_new_tokens = min(gen_config.max_new_tokens, context - given)
        if gen_config.max_new_tokens < 1:
            raise HTTPException(400, "max_tokens must be at least 1.")
        self.counters.requests += 1
        self.counters.prompt_tokens += given


class State(GenerationState):
    """Gives every handler the one generation that this server has."""

    def __init__(self, counters):
        super().__init__()
        self.only = Generation(counters)

    def get_manager(self, model_id, use_cb=False):
        """See GenerationState."""
        return self.only


class OneModel:
    """What all handlers do otherwise than Transformers': the model has one name, a request that cannot be read is the
    client's fault, and a stream is counted."""

    name: str
    last = ""
    """What ends a stream."""

    async def handle_request(self, body, request_id):
        """The answer. HTTPException with a status below 500 for what cannot be."""
        try:
            return await super().handle_request(body, request_id)
        except (KeyError, TypeError, ValueError) as error:
            raise HTTPException(400, f"The request cannot be understood: {type(error).__name__}: {error}.") from error

    def _resolve_model(self, body):
        asked = body.get("model")
        if asked is not None and asked != self.name:
            raise _no_such(asked, self.name)
        _, model, processor = super()._resolve_model({})
        body["model"] = self.name
        return self.name, model, processor

    def _streaming(self, *args, **kwargs):
        response = super()._streaming(*args, **kwargs)
        generation = self.generation_state.only
        response.body_iterator = self._counted(response.body_iterator, generation.newest, generation.counters)
        return response

    async def _counted(self, parts, streamer, counters):
        try:
            async for part in parts:
                yield part
        finally:
            await parts.aclose()  # a client that went away ends the generation
            counters.settle(streamer)
        if self.last:
            yield self.last


class Unversioned:
    """Takes /completions for /v1/completions and the like: some clients are given an address without /v1."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith(("/chat/", "/completions", "/models", "/responses")):
            scope = {**scope, "path": "/v1" + scope["path"]}
        await self.app(scope, receive, send)


def _no_such(asked, name):
    return HTTPException(404, f"The model {asked!r} is not served here; this is {name!r}.")


class Chat(OneModel, ChatCompletionHandler):
    """/v1/chat/completions."""

    last = "data: [DONE]\n\n"

    async def handle_request(self, body, request_id):
        """See OneModel."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
            raise HTTPException(400, "messages: a list of messages is wanted.")
        return await super().handle_request(body, request_id)


class Text(OneModel, CompletionHandler):
    """/v1/completions."""

    last = "data: [DONE]\n\n"


class Answers(OneModel, ResponseHandler):
    """/v1/responses."""


def application(model, name):
    """The app that serves `model`, a folder or an id of the hub, as `name`; it is loaded before this returns."""
    counters = Counters()
    manager = ModelManager(force_model=model)
    state = State(counters)
    handlers = [kind(model_manager=manager, generation_state=state) for kind in (Chat, Text, Answers)]
    for handler in handlers:
        handler.name = name
    chat, text, answers = handlers
    app = build_server(
        manager,
        chat,
        completion_handler=text,
        response_handler=answers,
        transcription_handler=None,
        systemone_handler=None,
        generation_state=state,
    )
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") in KEPT]
    _add_routes(app, name, counters)
    _add_errors(app)
    app.add_middleware(Unversioned)
    return app


def _add_routes(app, name, counters):
    only = {"id": name, "object": "model", "created": int(time.time()), "owned_by": "skyrig"}

    @app.get("/v1/models")
    def models():
        return JSONResponse({"object": "list", "data": [only]})

    @app.get("/v1/models/{asked:path}")
    def model(asked: str):
        if asked != name:
            raise _no_such(asked, name)
        return JSONResponse(only)

    @app.get("/metrics")
    def metrics():
        return PlainTextResponse(counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_errors(app: FastAPI):
    """Errors in OpenAI's form."""

    def said(message, status):
        kind = "invalid_request_error" if status < 500 else "server_error"
        code = "model_not_found" if status == 404 and message.startswith("The model") else None
        return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)

    @app.exception_handler(AnyHTTPException)
    async def refused(_request: Request, error: AnyHTTPException):
        return said(str(error.detail), error.status_code)

    @app.exception_handler(RequestValidationError)
    async def no_json(_request: Request, _error: RequestValidationError):
        return said("The request's body is no JSON object.", 400)

    @app.exception_handler(Exception)
    async def failed(_request: Request, error: Exception):
        return said(f"The server failed: {type(error).__name__}.", 500)


def main():
    """Load, then serve until TERM, which lets requests in flight end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the model, or its id on the hub")
    parser.add_argument("--name", help="what clients call it; else as --model")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    name = given.name or given.model
    print(f"loading {given.model}", flush=True)
    app = application(given.model, name)
    print(f"serving {name} on port {given.port}", flush=True)
    uvicorn.run(app, host=given.host, port=given.port, timeout_keep_alive=HELD_S, log_level="warning")


if __name__ == "__main__":
    main()
