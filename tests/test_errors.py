import ast
import errno
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import genrekit
from genrekit import errors
from genrekit.errors import GenrekitError, is_of_surroundings, unknown_name, unloadable


def test_a_name_like_none_of_the_choices_gets_the_choices_alone() -> None:
    assert str(unknown_name("schedule", "zzz", ["none", "cosine"])) == "unknown schedule 'zzz' (choices: none, cosine)"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cosin", "did you mean cosine? "),
        ("adom", "did you mean adam or adamw? "),
        ("ADAMM", "did you mean adam or adamw? "),
    ],
    ids=["one", "two", "capitals"],
)
def test_close_names_are_offered_the_closest_first(name: str, hint: str) -> None:
    assert hint in str(unknown_name("name", name, iter(["adamw", "adam", "cosine"])))


@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, ""), MemoryError(), OSError(errno.ENOSPC, "")])
def test_a_lack_of_memory_is_of_the_surroundings_as_a_full_disk_is(error: Exception) -> None:
    assert is_of_surroundings(error)
    assert is_of_surroundings(GenrekitError("no space")) is False


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


REMEDIES = re.compile(
    r"choose another (file|folder|name|cache)\b|overwrite it|start a new run|amend the plan|prepare it again|"
    r"[^t] prepare again|train the run again|turn \w+ off"
)
NO_OPTION = ("choose another path", "make space or choose another path", "check its permissions or choose another path")
"""Advice on errors of the operating system, which can be about a path of any option."""


def _messages(path: Path) -> Iterator[str]:
    """The texts in the `raise` statements of a module."""
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, (ast.Raise, ast.Return)):
            for node in ast.walk(statement):
                if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                    yield ast.unparse(node)


def test_a_message_with_a_remedy_names_the_option() -> None:
    package = Path(genrekit.__file__).parent
    found = {text for path in package.rglob("*.py") for text in _messages(path) if REMEDIES.search(text)}
    whole = [text for text in found if not any(text != other and text.strip("'\"f") in other for other in found)]
    assert len(whole) > 10
    assert [text for text in whole if " --" not in text and text.strip("'\"") not in NO_OPTION] == []
