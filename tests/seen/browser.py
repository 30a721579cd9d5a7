"""A real Chromium without a window, and what it made of a page."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from attrs import define, field

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --no-proxy-server --window-size=1200,1400"
)


@define
class Element:
    """One element of the page: its tag, attributes, and all text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@define
class Seen:
    """What the browser made of a page: its elements in their order, and what it wrote to its console."""

    elements: list[Element] = field(factory=list)
    console: list[str] = field(factory=list)

    def one(self, name: str, value: str) -> Element:
        """The only element whose attribute `name` is `value`."""
        (found,) = self.all(name, value)
        return found

    def all(self, name: str, value: str | None = None) -> list[Element]:
        """The elements that have the attribute, with this value if one is given."""
        return [
            each
            for each in self.elements
            if name in each.attributes and (value is None or each.attributes[name] == value)
        ]


class _Reader(HTMLParser):
    """Collects elements; text goes to all that are open."""

    _VOID = ("meta", "br", "img", "input", "link", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in self._VOID:
            self._open.append(self.seen[-1])

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def look(url: str, scratch: Path, *flags: str) -> Seen:
    """Open `url` in a fresh profile below `scratch` and let five seconds of the page's own time pass."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not here: apt-get install chromium")
    command = [program, *FLAGS.split(), f"--user-data-dir={scratch / 'profile'}", *flags]
    command += ["--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    reader = _Reader()
    reader.feed(done.stdout)
    return Seen(reader.seen, re.findall(r"CONSOLE.*?\] (.*)", done.stderr))
