"""The verbs as Python functions: the same records as --json, quiet, typed."""

from importlib.resources import files
from pathlib import Path

import pytest
from tiny_cli import CommandLine

import genrekit as library
from genrekit.io.json_values import to_json


def test_every_name_is_there_and_no_other() -> None:
    for name in library.__all__:
        assert getattr(library, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'predikt'"):
        library.predikt  # noqa: B018


def test_types_are_shipped() -> None:
    assert (files("genrekit") / "py.typed").is_file()


def test_records_are_what_json_prints_and_nothing_else_is_said(
    here: Path, genrekit: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    command = genrekit("compare", "--json").json
    predicted = genrekit("predict", "data/jazz/jazz-0.wav", "data/blues", "--json").json
    assert to_json(library.compare(["runs"])) == command
    assert to_json(library.predict(["data/jazz/jazz-0.wav", "data/blues"])) == predicted
    assert capsys.readouterr() == ("", "")


def test_a_progress_hears_every_file_and_every_step(here: Path) -> None:
    heard: list[tuple[int, int]] = []
    progress = library.Progress(lambda done, of: heard.append((done, of)))
    library.predict("data/blues", reporter=progress)
    assert heard == [(done, 10) for done in range(1, 11)]
    heard.clear()
    values = {"arch": "mlp", "hidden": (4, 4), "epochs": 2, "device": "cpu"}
    library.train("data/cache.h5", values, out="runs/new", reporter=progress)
    assert heard[-1][0] == heard[-1][1] == len(heard)
    assert [done for done, _ in heard] == [*range(1, len(heard) + 1)]


def test_what_can_be_mended_is_one_kind_of_error(here: Path) -> None:
    with pytest.raises(library.GenrekitError, match="train a model first"):
        library.predict("data/jazz/jazz-0.wav", "absent")


def test_a_run_is_configured_by_keywords_a_configuration_or_a_mapping(here: Path) -> None:
    keywords = library.train("data/cache.h5", arch="mlp", hidden=(4, 4), epochs=1, device="cpu", out="runs/keywords")
    config = library.TrainConfig(arch="mlp", hidden=(4, 4), epochs=1, device="cpu")
    whole = library.train("data/cache.h5", config=config, out="runs/config")
    mapping = library.train("data/cache.h5", config.model_dump(), epochs=2, out="runs/mapping")
    assert keywords.validation == whole.validation
    assert (whole.epochs, mapping.epochs) == (1, 2)


def test_a_whole_configuration_and_keywords_are_refused(here: Path) -> None:
    with pytest.raises(library.GenrekitError, match="a TrainConfig has all values: leave out epochs, or"):
        library.train("data/cache.h5", library.TrainConfig(), epochs=1)
