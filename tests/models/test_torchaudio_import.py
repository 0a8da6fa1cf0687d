"""A torchaudio that cannot be loaded is one line with the versions, the reason and the fix."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from broken_library import UNDEFINED_SYMBOL, shadow
from tiny_training import FRONT_END, tiny_config

from genrekit.config import PrepareConfig
from genrekit.errors import GenrekitError
from genrekit.inference.front_end import torch_front_end
from genrekit.models.torchaudio_import import load_torchaudio
from genrekit.training.augment import BatchAugmentation

PREPARED = PrepareConfig.of({"front_end": FRONT_END.model_dump()})


@pytest.fixture(autouse=True)
def not_loaded() -> Iterator[None]:
    load_torchaudio.cache_clear()
    yield
    load_torchaudio.cache_clear()


def test_a_torchaudio_for_another_torch_is_named_with_both_versions_the_symbol_and_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow(monkeypatch, tmp_path, "torchaudio", UNDEFINED_SYMBOL)
    with pytest.raises(GenrekitError) as caught:
        load_torchaudio()
    what, fix = str(caught.value).split(": pip install --upgrade ")
    assert what == (
        f"torchaudio {version('torchaudio')} cannot be loaded with torch {version('torch')} "
        "(libtorchaudio.so: undefined symbol: torch_exception_get_what)"
    )
    assert re.fullmatch(r"'?torch\b\S*'? '?torchaudio\b\S*'?", fix)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('raise RuntimeError("compiled with different CUDA major versions.")', id="cuda"),
        pytest.param('raise AttributeError("compiled with different CUDA major versions")', id="attribute"),
    ],
)
def test_whatever_the_import_raises_is_the_reason(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow(monkeypatch, tmp_path, "torchaudio", source)
    with pytest.raises(GenrekitError, match=r"\(compiled with different CUDA major versions\): pip install"):
        load_torchaudio()


def test_a_torchaudio_that_is_not_there_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(GenrekitError, match=r"^torchaudio is not installed: pip install --upgrade "):
        load_torchaudio()


def test_spectrograms_and_masks_need_torchaudio_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow(monkeypatch, tmp_path, "torchaudio", UNDEFINED_SYMBOL)
    inputs, targets, neutral = torch.rand(2, *FRONT_END.shape("mel")), torch.zeros(2, dtype=torch.int64), torch.zeros(1)
    for kind in ("mel", "stft"):
        with pytest.raises(GenrekitError, match=r"torchaudio .* cannot be loaded"):
            torch_front_end(PREPARED, kind)
    with pytest.raises(GenrekitError, match=r"torchaudio .* cannot be loaded"):
        BatchAugmentation(tiny_config(spec_time_mask=2), neutral, 1)(inputs, targets)
    torch_front_end(PREPARED, "waveform")
    BatchAugmentation(tiny_config(mixup=1.0, noise_std=0.1), neutral, 1)(inputs, targets)
