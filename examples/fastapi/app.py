"""GET /generate?q=TEXT&words=N: how the text goes on. The model is MODEL's, loaded before the first request."""

from __future__ import annotations

import os

from fastapi import FastAPI, HTTPException

MODEL = os.environ.get("MODEL", "words")
app = FastAPI()

if MODEL == "words":
    import words

    table = words.learnt()

    def answer(text: str, count: int) -> str:
        """The text, and up to `count` words more."""
        return words.continued(table, text, count)

else:
    import torch
    from transformers import pipeline

    pipe = pipeline("text-generation", model=MODEL, device=0 if torch.cuda.is_available() else -1)

    def answer(text: str, count: int) -> str:
        """The text, and up to `count` tokens more."""
        return str(pipe(text, max_new_tokens=count)[0]["generated_text"])


@app.get("/health")
def health() -> dict[str, str]:
    """What the probe asks: there is an answer once the model is loaded."""
    return {"model": MODEL}


@app.get("/generate")
def generate(q: str = "return the", words: int = 20) -> dict[str, str]:
    """The text `q` and what follows."""
    if not q.strip() or not 0 < words <= 500:
        raise HTTPException(422, "q: some text; words: 1 to 500")
    return {"output": answer(q, words), "model": MODEL}
