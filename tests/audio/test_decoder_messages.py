import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import white_noise
from tiny_cli import SMALL

from genrekit.audio.decode import decode
from genrekit.audio.decoder_messages import decoder_messages, file_messages, shared_stderr
from genrekit.cli.app import run

MESSAGE = "error: dequantization failed!"
LINE = f"[src/layer3.c:1804] {MESSAGE}\n"


def damaged_mp3(path: Path) -> Path:
    """Write an MP3 file with 60 damaged places, about which libmpg123 prints messages."""
    sound_mp3(path)
    content, draw = np.frombuffer(path.read_bytes(), np.uint8).copy(), np.random.default_rng(7)
    for start in draw.integers(2_000, len(content) - 100, 60):
        content[start : start + 3] = draw.integers(0, 256, 3)
    path.write_bytes(content.tobytes())
    return path


def sound_mp3(path: Path) -> Path:
    """Write 10 seconds of noise as an MP3 file."""
    soundfile.write(path, np.random.default_rng(2).uniform(-0.5, 0.5, 10 * 22_050), 22_050, format="MP3")
    return path


def test_lines_of_a_library_are_collected_once_and_stderr_is_restored(capfd: pytest.CaptureFixture[str]) -> None:
    messages: list[str] = []
    with decoder_messages(messages):
        for _ in range(3):
            os.write(2, f"{LINE}\n".encode())
    os.write(2, b"later\n")
    assert messages == [MESSAGE]
    assert capfd.readouterr().err == "later\n"


def test_messages_belong_to_their_file_if_threads_decode_at_the_same_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [damaged_mp3(tmp_path / "damaged.mp3"), *(sound_mp3(tmp_path / f"{number}.mp3") for number in range(3))]

    def messages_of(path: Path) -> list[str]:
        messages: list[str] = []
        with file_messages(path, messages):
            decode(path, 22_050)
        return messages

    with shared_stderr(), ThreadPoolExecutor(4) as executor:
        of_damaged, *others = executor.map(messages_of, paths)
    assert of_damaged
    assert all(message.startswith("error: ") for message in of_damaged)
    assert others == [[], [], []]
    assert capfd.readouterr().err == ""


def test_lines_about_no_file_are_printed_at_the_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    messages: list[str] = []
    kept: list[int] = []
    with shared_stderr(kept.append):
        with file_messages(sound_mp3(tmp_path / "a.mp3"), messages):
            os.write(2, b"[W nnpack.cpp:64] Could not initialize\n" * 2)
        os.write(kept[0], b"warning: of Python\n")
        assert capfd.readouterr().err == "warning: of Python\n"
    assert messages == []
    assert capfd.readouterr().err == "[W nnpack.cpp:64] Could not initialize\n"


def test_the_library_collects_nothing_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    messages: list[str] = []
    with file_messages(tmp_path / "a.mp3", messages):
        os.write(2, LINE.encode())
    assert messages == []
    assert capfd.readouterr().err == LINE


def test_nothing_is_collected_if_stderr_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("genrekit.audio.decoder_messages.os.dup", closed)
    messages: list[str] = []
    with shared_stderr(), file_messages(Path("a.mp3"), messages):
        pass
    assert messages == []


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(lambda folder: ["predict", folder, "--model", "runs/cel/best"], id="predict"),
        pytest.param(lambda folder: ["prepare", folder, *SMALL, "--workers", "1", "--out", "new.h5"], id="prepare"),
        pytest.param(lambda folder: ["evaluate", "runs/cel/best", "--data", folder], id="evaluate"),
        pytest.param(lambda folder: ["evaluate", "runs/cel/best", "--unknown", folder], id="unknown"),
    ],
)
def test_commands_show_a_message_once_with_its_file_and_none_if_quiet(
    here: Path, capfd: pytest.CaptureFixture[str], command: Callable[[str], list[str]]
) -> None:
    for genre in ("blues", "jazz"):
        Path("new", genre).mkdir(parents=True)
        soundfile.write(Path("new", genre, "sound.wav"), white_noise(8_000, len(genre)), 8_000)
    damaged_mp3(Path("new/blues/damaged.mp3"))
    assert run(command("new")) == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if "dequantization" in line]
    assert len(lines) == 1
    assert "blues/damaged" in lines[0]
    assert "its decoder reports: error" in lines[0]
    assert run([*command("new"), "--quiet"]) == 0
    assert "error: " not in capfd.readouterr().err
