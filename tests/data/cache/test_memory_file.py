"""A draft is a file like others, in memory, whose gaps cost nothing."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrekit.data.cache import memory_file as draft
from genrekit.data.cache.memory_file import Draft

places = st.integers(0, 200_000)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), places, st.binary(max_size=50).map(lambda some: some * 2_000)),
        st.tuples(st.just("read"), places, st.integers(0, 100_000)),
        st.tuples(st.just("end"), st.just(0), st.just(0)),
    ),
    max_size=12,
)


def follow(file: io.BytesIO | Draft, all_steps: list[tuple[str, int, bytes | int]]) -> list[object]:
    """Do the same to any file and note what it answers."""
    answers: list[object] = []
    for verb, place, value in all_steps:
        answers.append(file.seek(0, os.SEEK_END) if verb == "end" else file.seek(place))
        if verb == "write":
            assert isinstance(value, bytes)
            answers.append(file.write(value))
        elif verb == "read":
            assert isinstance(value, int)
            answers.append(file.read(value))
    return answers


@given(steps)
def test_a_draft_answers_as_any_file_in_memory_does(all_steps: list[tuple[str, int, bytes | int]]) -> None:
    assert follow(Draft(), all_steps) == follow(io.BytesIO(), all_steps)


@pytest.mark.parametrize("fallocate", [True, False], ids=["space set aside", "where that cannot be asked for"])
def test_a_saved_draft_has_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fallocate: bool) -> None:
    if not fallocate:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    file = Draft()
    file.seek(150_000)
    file.write(b"rows")
    file.seek(10)
    file.write(b"head")
    file.truncate(300_000)
    file.save(tmp_path / "file")
    expected = bytearray(300_000)
    expected[10:14], expected[150_000:150_004] = b"head", b"rows"
    assert (tmp_path / "file").read_bytes() == expected
    file.truncate(12)
    file.save(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == bytes(10) + b"he"


def test_a_gap_of_terabytes_takes_no_memory() -> None:
    file = Draft()
    file.seek(1 << 42)
    assert file.write(b"far") == 3
    file.seek(-5, os.SEEK_END)
    assert file.read() == b"\0\0far"
    assert len(file._pages) == 1
    assert draft._PAGE < 1 << 20
