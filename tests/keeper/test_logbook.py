"""The kept log: bytes in, the same bytes out, whatever they are and however they were cut."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from skyrig.launch.job import JobRecord, JobStatus
from skyrig.launch.keeper.archive import Archive
from skyrig.launch.keeper.logbook import PIECE, Logbook, taken
from skyrig.launch.lines import SETUP, Shown, last, parse, tail_offset


def record(nodes: tuple[str, ...]) -> JobRecord:
    return JobRecord(
        id=1,
        uid="1-abc",
        name="x",
        status=JobStatus.RUNNING,
        num_nodes=len(nodes),
        submitted_at=0.0,
        nodes=nodes,
        cluster=("n0", "n1", "n2"),
    )


def rebuilt(path: Path) -> dict[int, bytes]:
    """Each rank's own output, put together from the kept lines."""
    outputs: dict[int, bytes] = {}
    for line in path.read_bytes().split(b"\n")[:-1]:
        rank, text, ended = parse(line)
        outputs[rank] = outputs.get(rank, b"") + text + (b"\n" if ended else b"")
    return outputs


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=60), st.booleans()), max_size=30))
def test_every_byte_is_kept_in_order_and_counted(chunks: list[tuple[int, bytes, bool]]) -> None:
    said: dict[int, bytes] = {}

    async def write(path: Path) -> None:
        book = Logbook(path)
        for rank, data, flush in chunks:
            book.add(rank, data)
            said[rank] = said.get(rank, b"") + data
            if flush:
                book.flush(rank)
        book.close()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.log"
        asyncio.run(write(path))
        expected = {rank: data for rank, data in said.items() if data}
        assert rebuilt(path) == expected
        assert {rank: count for rank, count in taken(path).items() if count} == {
            rank: len(data) for rank, data in expected.items()
        }


def test_a_line_without_end_is_cut_into_pieces_of_bounded_length(tmp_path: Path) -> None:
    async def write() -> None:
        book = Logbook(tmp_path / "job.log")
        book.add(0, b"x" * (3 * PIECE + 5))
        book.close()

    asyncio.run(write())
    assert max(map(len, (tmp_path / "job.log").read_bytes().split(b"\n"))) <= PIECE + 2
    assert rebuilt(tmp_path / "job.log") == {0: b"x" * (3 * PIECE + 5)}


def test_shown_lines_carry_rank_and_node_only_where_there_are_several() -> None:
    two = Shown(record(("n1", "n2")), ("n0", "n1", "n2"))
    assert two.show(b"1|loss 1.2") == b"(rank 1, n2) loss 1.2\n"
    assert two.show(b"%d|hi" % (SETUP + 2)) == b"(setup, n2) hi\n"
    pieces = [b"0+50%", b"0+\r99%", b"1|done", b"0|\r100%", b"1+?"]
    assert b"".join(map(two.show, pieces)) == (
        b"(rank 0, n1) 50%\r99%\n(rank 1, n2) done\n(rank 0, n1) \r100%\n(rank 1, n2) ?"
    )
    assert two.finish() == b"\n"
    assert two.finish() == b""
    assert Shown(record(("n1",)), ("n0", "n1")).show(b"0|3|4+5") == b"3|4+5\n"
    assert Shown(record(("n1", "n2")), (), rank=0).show(b"1|no") == b""


def test_tail_counts_the_lines_of_one_rank(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_bytes(b"".join(b"%d|line %d\n" % (n % 2, n) for n in range(100)))
    kept = path.read_bytes()[tail_offset(path, 3, rank=1) :].splitlines()
    assert [line for line in kept if line.startswith(b"1")] == [b"1|line 95", b"1|line 97", b"1|line 99"]
    assert path.read_bytes()[tail_offset(path, 2) :] == b"0|line 98\n1|line 99\n"
    assert tail_offset(path, 0) == path.stat().st_size
    assert last(path, 0, 2) == [b"line 96", b"line 98"]


def test_the_copy_follows_the_log_and_holds_the_record(tmp_path: Path) -> None:
    async def write() -> None:
        book, archive = Logbook(tmp_path / "job" / "job.log"), Archive(tmp_path / "records")
        archive.note(record(("n0",)), book.path)
        book.add(0, b"one\n")
        assert await archive.bring(1)
        book.add(0, b"two\nthr")
        await asyncio.gather(*(archive.bring(1) for _ in range(9)))
        assert (tmp_path / "records/1/job.log").read_bytes() == b"0|one\n0|two\n"
        assert '"RUNNING"' in (tmp_path / "records/1/record.json").read_text()
        (tmp_path / "records/1/job.log").write_bytes(b"0|one\n0|t")  # as a full disk, or a killed keeper, leaves it
        again = Archive(tmp_path / "records")
        again.note(record(("n0",)), book.path)
        book.close()
        assert await again.bring(1)

    asyncio.run(write())
    assert (tmp_path / "records/1/job.log").read_bytes() == b"0|one\n0|two\n0+thr\n"


def test_half_a_line_waits_until_its_rank_has_been_silent(tmp_path: Path) -> None:
    async def write() -> None:
        book = Logbook(tmp_path / "job.log")
        book.add(3, b"I am")
        book.flush_silent()
        book.add(3, b" ")
        book.flush_silent()
        assert book.path.read_bytes() == b""
        book.add(3, b"3\n50%")
        book.flush_silent()
        book.flush_silent()
        assert book.path.read_bytes() == b"3|I am 3\n3+50%\n"
        book.close()

    asyncio.run(write())
