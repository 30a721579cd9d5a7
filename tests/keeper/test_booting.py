"""What a node's answer about its boot means."""

from __future__ import annotations

import json

import pytest

from skyrig.launch.keeper.booting import judged


def said(state: str, boot: str = "b2", **checked: object) -> str:
    """A node's answer, behind what its login prints; its last check was of boot b2."""
    left = json.dumps({"boot": "b2", **checked}) if checked else ""
    return f"welcome\nskyrig-boot {boot} {state} {left}\n"


ANSWERS = {
    "ready": ("", ""),
    "ready, and its login prints something": ("welcome\n\n", ""),
    "ready since the pattern was tried": (said("active", ok=True, problem=""), ""),
    "first boot, not begun": (said("unknown"), None),
    "first boot": (said("activating"), None),
    "another boot": (said("inactive", boot="b3", ok=True, problem=""), None),
    "another boot, under way": (said("activating", boot="b3", ok=False, problem="x"), None),
    "looked at again after a failure": (said("activating", ok=False, problem="x"), None),
    "never came to its end": (said("failed"), "what makes it ready has failed"),
    "never came to its end at this boot": (said("failed", boot="b3", ok=True), "what makes it ready has failed"),
    "not whole": (said("failed", ok=False, problem="8 H100 declared, 7 found"), "8 H100 declared, 7 found (when"),
}


@pytest.mark.parametrize(("answer", "verdict"), ANSWERS.values(), ids=list(ANSWERS))
def test_an_answer_is_ready_or_not_yet_or_what_is_wrong(answer: str, verdict: str | None) -> None:
    got = judged(answer)
    assert got == verdict if not verdict else got is not None and got.startswith(verdict)
