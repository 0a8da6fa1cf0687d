"""Names that users know from other tools, and paths whose meaning is plain, are accepted or get the right name."""

from pathlib import Path

import pytest
from tiny_cli import COMMAND_LINES, CommandLine, find_command

from genrekit.cli.synonyms import SYNONYMS


def options(command: object) -> set[str]:
    return {name for param in getattr(command, "params", ()) for name in (*param.opts, *param.secondary_opts)}


def test_every_synonym_stands_for_an_option_of_a_command() -> None:
    known = set().union(*(options(find_command(*line)) for line in COMMAND_LINES))
    for synonym, names in SYNONYMS.items():
        assert synonym.startswith("--")
        assert set(names) & known, synonym


@pytest.mark.parametrize(
    ("command", "named"),
    [
        pytest.param(("train", "--model", "cel"), "--model: did you mean --arch?", id="model"),
        pytest.param(("train", "--learning-rate", "0.1"), "--learning-rate: did you mean --lr?", id="learning rate"),
        pytest.param(("train", "--bs", "8"), "--bs: did you mean --batch-size?", id="batch size"),
        pytest.param(("train", "--num_epochs=8"), "--num_epochs: did you mean --epochs?", id="underscore"),
        pytest.param(("train", "--weight-decay=0.1"), "--weight-decay: did you mean --l2?", id="weight decay"),
        pytest.param(("train", "--optimizer", "sgd"), "--optimizer: did you mean --opt?", id="optimizer"),
        pytest.param(("train", "--scheduler", "cosine"), "--scheduler: did you mean --sched?", id="scheduler"),
        pytest.param(("train", "--data", "x"), "--data: did you mean --cache?", id="data"),
        pytest.param(("predict", "a.wav", "--bundle", "x"), "--bundle: did you mean --model?", id="bundle"),
        pytest.param(("predict", "a.wav", "--arch", "x"), "--arch: did you mean --model?", id="arch"),
        pytest.param(("prepare", "--num-workers", "2"), "--num-workers: did you mean --workers?", id="workers"),
    ],
)
def test_an_option_of_another_tool_is_answered_with_the_option(
    genrekit: CommandLine, command: tuple[str, ...], named: str
) -> None:
    outcome = genrekit(*command)
    assert (outcome.code, outcome.err) == (2, f"genrekit: no such option: {named}\n")


def test_an_option_without_a_known_meaning_gets_the_closest(genrekit: CommandLine) -> None:
    assert "--epochs" in genrekit("train", "--epoch", "3").err


def test_an_architecture_may_be_in_capitals(genrekit: CommandLine) -> None:
    out = genrekit("train", "--arch", "CEL3", "--opt", "SGD", "--sched", "Cosine", "--print-config").out
    for line in ('arch = "cel3"', 'opt = "sgd"', 'sched = "cosine"'):
        assert line in out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(("study", "mine.toml"), "mine.toml is a file: genrekit study run mine.toml", id="study"),
        pytest.param(
            ("--cache", "a.h5", "train"),
            "no such option: --cache: the options of a command stand after its name",
            id="order",
        ),
        pytest.param(
            ("search", "study.toml"), "'axes' is a key of a study: genrekit study run study.toml", id="search"
        ),
        pytest.param(("manifest", "fma", "."), "name FMA's tracks.csv, such as fma_metadata/tracks.csv", id="fma"),
        pytest.param(("evaluate", "best_model"), "no bundle at best_model: did you mean best_models?", id="bundle"),
        pytest.param(("compare", "best_models"), "or run genrekit evaluate best_models", id="compare"),
    ],
)
def test_a_name_in_the_wrong_place_gets_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine, command: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text('title = "T"\nquestion = "Q"\n[axes.a]\nb = { arch = "cel" }\n')
    for name in ("model.json", "model.safetensors"):
        Path("best_models/one").mkdir(parents=True, exist_ok=True)
        Path("best_models/one", name).touch()
    outcome = genrekit(*command)
    assert outcome.code in (1, 2)
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_help_is_also_a_command(genrekit: CommandLine) -> None:
    assert genrekit("help").out == genrekit("--help").out
    assert genrekit("help", "train").out == genrekit("train", "--help").out


def test_an_argument_of_a_command_without_arguments_names_the_option(genrekit: CommandLine) -> None:
    outcome = genrekit("train", "data")
    assert outcome.code == 2
    assert outcome.err.endswith("(data): train takes options only, such as --cache data/cache.h5\n")
    assert genrekit("prepare", "one", "two").err.endswith("(two): prepare takes one DATA_DIR\n")
    joined = "(16): join the values of one option by commas, such as 8,16\n"
    assert genrekit("train", "--channels", "8", "16").err.endswith(joined)
    assert genrekit("prepare", "data", "--noise", "10", "20").err.endswith(
        "(20): prepare takes one DATA_DIR; " + joined[6:]
    )
    assert genrekit("train", "mine.h5").err.endswith("train takes options only, did you mean --cache mine.h5?\n")


def test_a_folder_of_runs_is_a_folder_of_models(here: Path, genrekit: CommandLine) -> None:
    models = genrekit("evaluate", "runs/", "--json").json["models"]
    assert sorted(model["bundle"] for model in models) == ["runs/cel/best", "runs/mlp/best"]
    assert genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs", "--json").json["bundle"].startswith("runs/")


@pytest.mark.parametrize("folder", ["best_models", "runs"])
def test_exporting_a_folder_of_models_is_answered_with_one_of_them(
    here: Path, genrekit: CommandLine, folder: str
) -> None:
    outcome = genrekit("export", folder)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"; did you mean {folder}/" in outcome.err
