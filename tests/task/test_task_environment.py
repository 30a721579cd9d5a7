"""Variables from files and from the command line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyrig.errors import BadInput
from skyrig.task import environment

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@given(
    st.dictionaries(NAMES, st.text(st.characters(exclude_characters="'\r\0", exclude_categories=["Cs"])), max_size=5)
)
def test_single_quotes_keep_every_character(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    file = tmp_path_factory.mktemp("env") / ".env"
    file.write_text("".join(f"export {name}='{value}'  # note\n" for name, value in values.items()), newline="")
    assert environment.env_file(file) == values


@given(st.dictionaries(NAMES, st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])), max_size=5))
def test_double_quotes_take_escapes(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    file = tmp_path_factory.mktemp("env") / ".env"
    file.write_text("".join(f'{name}="{escaped(value)}"\n' for name, value in values.items()), newline="")
    assert environment.env_file(file) == values


def test_plain_lines_comments_and_blanks(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# head\n\nA=plain text # note\nB=a#b\nC=\n  D = x\nE=a=b")
    assert environment.env_file(file) == {"A": "plain text", "B": "a#b", "C": "", "D": "x", "E": "a=b"}


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nwhat is this\n")
    with pytest.raises(BadInput, match=r"\.env:2: "):
        environment.env_file(file)


def test_pairs_win_over_files_and_bare_names_take_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "here")
    file = tmp_path / ".env"
    file.write_text("A=1\nB=2\n")
    got = environment.given("--env", ["A=one=two", "MINE"], [str(file)])
    assert got == {"A": "one=two", "B": "2", "MINE": "here"}


@pytest.mark.parametrize("pair", ["=x", "A B=1", "1A=2", "NOT_SET_ANYWHERE"])
def test_bad_pairs_are_refused_without_showing_values(pair: str) -> None:
    with pytest.raises(BadInput) as refused:
        environment.given("--secret", [pair])
    assert "--secret" in str(refused.value)
