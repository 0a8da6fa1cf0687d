import importlib.metadata

import pytest

from genrekit import errors
from genrekit.errors import GenrekitError, unknown_name, unloadable


def test_a_name_like_none_of_the_choices_gets_the_choices_alone() -> None:
    assert str(unknown_name("schedule", "zzz", ["none", "cosine"])) == "unknown schedule 'zzz' (choices: none, cosine)"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cosin", "did you mean cosine? "), ("adom", "did you mean adam or adamw? ")],
    ids=["one", "two"],
)
def test_close_names_are_offered_the_closest_first(name: str, hint: str) -> None:
    assert hint in str(unknown_name("name", name, iter(["adamw", "adam", "cosine"])))


REQUIREMENTS = ["torch<2.16,>=2.13", "torchaudio<2.12,>=2.11.1", "torch>=9; extra == 'dev'", "numpy<3,>=2.0"]


def test_a_library_that_cannot_be_loaded_is_fixed_by_what_the_metadata_require(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.11.0", "torchaudio": "2.11.1"}
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: REQUIREMENTS)
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    assert str(
        unloadable("torchaudio", ["torch"], OSError("/site-packages/torchaudio/lib.so: undefined symbol: f"))
    ) == (
        "torchaudio 2.11.1 cannot be loaded with torch 2.11.0 (lib.so: undefined symbol: f): "
        "pip install --upgrade 'torch<2.16,>=2.13' 'torchaudio<2.12,>=2.11.1'"
    )


@pytest.mark.parametrize("stated", [None, []])
def test_a_library_that_the_metadata_do_not_require_is_installed_by_its_name(
    stated: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: stated)
    error = ModuleNotFoundError("No module named 'torchaudio'", name="torchaudio")
    message = str(unloadable("torchaudio", ["torch"], error))
    assert message == "torchaudio is not installed: pip install --upgrade torch torchaudio"


def test_without_metadata_a_library_has_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    monkeypatch.setattr(importlib.metadata, "version", missing)
    message = str(unloadable("librosa", ["numba", "numpy"], ImportError()))
    assert message == (
        "librosa cannot be loaded with numba and numpy (ImportError): pip install --upgrade numba numpy librosa"
    )


def test_every_error_is_one_that_the_user_can_fix() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)}
    assert {GenrekitError, errors.UsageError, errors.BundleError} <= kinds
    assert all(issubclass(kind, GenrekitError) for kind in kinds)
