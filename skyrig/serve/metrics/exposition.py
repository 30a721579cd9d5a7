"""Several texts in Prometheus' format (version 0.0.4) as one that is valid again. Pure.

A metric's lines stand together, with one TYPE and one HELP: those of the first part that has the metric. A part's
labels are added to each of its samples; a label of that name that the sample has already goes by `exported_NAME`, as
Prometheus itself does it. What is no valid line is left out, and so is a sample whose metric has another TYPE in an
earlier part, or that is there already: a replica may answer with anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field, frozen

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*\s*=\s*"(?:[^"\\\n]|\\.)*"'
_SAMPLE = re.compile(
    rf"(?P<name>{_NAME})(?:[ \t]*\{{[ \t]*(?P<labels>(?:{_LABEL}[ \t]*(?:,[ \t]*|(?=\}})))*)\}})?"
    r"[ \t]*(?<=[ \t}])(?P<value>[^ \t{}]+)(?:[ \t]+(?P<time>-?[0-9]{1,18}))?[ \t]*"
)
_ESCAPE = re.compile(r"\\(.)")
_EACH = re.compile(rf"({_LABEL})")
_ABOUT = re.compile(rf"#[ \t]*(?P<what>HELP|TYPE)[ \t]+(?P<name>{_NAME})(?:[ \t]+(?P<text>.*))?")
_VALUE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?Inf|NaN")
_TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@frozen
class Part:
    """A text, and the labels that its samples get."""

    text: str
    labels: Mapping[str, str] = field(factory=dict)


@frozen
class Sample:
    """One sample: its name, its labels as they are written (name and escaped value), its value and time as text."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: str
    time: str = ""

    @property
    def number(self) -> float:
        """The value."""
        return float(self.value)

    @property
    def series(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What no other sample of a text may have: the name with the labels."""
        return self.name, frozenset(self.labels)

    def line(self) -> str:
        """The sample as a line of the format."""
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.name}{'{' + labels + '}' if labels else ''} {self.value}{' ' if self.time else ''}{self.time}"


@define
class Family:
    """All samples of one metric. `kind` is its TYPE ("untyped" where none is told)."""

    name: str
    kind: str = "untyped"
    help: str = ""
    samples: list[Sample] = field(factory=list)

    def lines(self) -> Iterator[str]:
        """The family as lines of the format."""
        if self.help:
            yield f"# HELP {self.name} {self.help}"
        if self.kind != "untyped":
            yield f"# TYPE {self.name} {self.kind}"
        for sample in self.samples:
            yield sample.line()


def merged(parts: Iterable[Part]) -> str:
    """One text of several."""
    whole: dict[str, Family] = {}
    for part in parts:
        for family in families(part.text):
            known = whole.setdefault(family.name, Family(family.name, family.kind, family.help))
            if known.kind == family.kind:
                known.samples += [labelled(sample, part.labels) for sample in family.samples]
    owners = {name: family.name for family in whole.values() for name in _names(family)}
    there: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for family in whole.values():
        kept = []
        for sample in family.samples:
            if sample.series not in there and owners.get(sample.name, family.name) == family.name:
                there.add(sample.series)
                kept.append(sample)
        family.samples = kept
    return "".join(f"{line}\n" for family in whole.values() if family.samples for line in family.lines())


def families(text: str) -> list[Family]:
    """The metrics of a text, in the order in which they come, with what is valid of it."""
    found: dict[str, Family] = {}
    lines = text.split("\n")
    for about in filter(None, map(_ABOUT.fullmatch, lines)):
        family = found.setdefault(about["name"], Family(about["name"]))
        if about["what"] == "HELP":
            family.help = family.help or _one_line(about["text"] or "")
        elif (about["text"] or "").strip() in _TYPES and family.kind == "untyped":
            family.kind = (about["text"] or "").strip()
    owners = {name: family for family in found.values() for name in _names(family)}
    for sample in filter(None, map(_sample, lines)):
        owner = owners.get(sample.name) or found.setdefault(sample.name, Family(sample.name))
        owner.samples.append(sample)
    return [family for family in found.values() if family.samples]


def labelled(sample: Sample, labels: Mapping[str, str]) -> Sample:
    """The sample with more labels. One that it has already with the same value stays as it is."""
    given = {name: _escaped(value) for name, value in labels.items()}
    own = dict(sample.labels)
    fresh = {name: value for name, value in given.items() if own.get(name) != value}
    if not fresh:
        return sample
    renamed: dict[str, str] = {}
    for name, value in own.items():
        while name in fresh or name in renamed:
            name = f"exported_{name}"
        renamed[name] = value
    return Sample(sample.name, (*renamed.items(), *fresh.items()), sample.value, sample.time)


def _sample(line: str) -> Sample | None:
    if line.lstrip(" \t").startswith("#"):
        return None
    read = _SAMPLE.fullmatch(line.strip(" \t\r"))
    if read is None or not _VALUE.fullmatch(read["value"]):
        return None
    pairs = [each.partition("=") for each in _EACH.findall(read["labels"] or "")]
    labels = tuple((name.strip(), _clean(value.strip()[1:-1])) for name, _, value in pairs)
    if len(dict(labels)) != len(labels):
        return None
    return Sample(read["name"], labels, read["value"], read["time"] or "")


def _names(family: Family) -> list[str]:
    """Names that samples of this metric have."""
    return [family.name, *(f"{family.name}{suffix}" for suffix in _SUFFIXES.get(family.kind, ()))]


def _escaped(value: str) -> str:
    r"""A label's value as it is written: backslash, quote and line feed as \\, \" and \n."""
    return _one_line(value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))


def _clean(written: str) -> str:
    """A label's value as another program wrote it, with its escapes, without what would end the line."""
    return _one_line(_ESCAPE.sub(lambda pair: pair[0] if pair[1] in '\\"n' else "\\" + pair[0], written))


def _one_line(text: str) -> str:
    """Without the characters at which some readers begin a new line."""
    return re.sub("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", " ", text)
