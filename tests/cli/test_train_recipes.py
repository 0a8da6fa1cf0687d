"""Recipes: named configurations that options override."""

import json
import re
from pathlib import Path

import pytest
from tiny_cli import CommandLine

from genrekit import TrainConfig, train
from genrekit.errors import UsageError
from genrekit.metrics.formatting import percent
from genrekit.workflows.recipes import all_recipes, read_recipe, recipe_names

CACHE = "data/cache.h5"


def test_every_recipe_is_a_valid_configuration_with_figures() -> None:
    recipes = all_recipes()
    assert [recipe.name for recipe in recipes] == sorted(
        recipe_names(), key=lambda name: -read_recipe(name).measured.track_accuracy
    )
    for recipe in recipes:
        assert TrainConfig.of(recipe.train) != TrainConfig()
        assert recipe.measured.track_accuracy > 0.122, "the share of the largest genre"


def test_the_list_shows_what_each_recipe_costs_and_reached(genrekit: CommandLine) -> None:
    shown = genrekit("train", "--list-recipes")
    assert shown.code == 0
    for words in ("pretrained", "72.1 %", "fault-filtered split", "CPU", "outside data"):
        assert words in shown.out
    listed = genrekit("train", "--list-recipes", "--json").json["recipes"]
    assert {recipe["name"]: recipe["train"]["arch"] for recipe in listed}["pretrained"] == "logreg"


def test_the_page_on_accuracy_has_the_figures_of_the_recipes() -> None:
    page = Path(__file__).parents[2].joinpath("docs/explanation/accuracy.md").read_text(encoding="utf-8")
    for name in ("pretrained", "fast"):
        measured = read_recipe(name).measured
        (row,) = re.findall(rf"^\| `--recipe {name}` \|.*$", page, re.MULTILINE)
        assert measured.fragment_accuracy is not None
        for cell in (
            percent(measured.track_accuracy),
            percent(measured.fragment_accuracy),
            f"{measured.seconds:.0f} s",
        ):
            assert f"| {cell} " in row
        assert f"{measured.first_seconds:.0f} s for `{name}`" in " ".join(page.split())


def test_options_override_the_recipe_and_the_run_names_it(here: Path, genrekit: CommandLine) -> None:
    options = ("--channels", "4,8", "--epochs", "1", "--out", "runs/scratch")
    done = genrekit("train", "--recipe", "scratch", *options)
    assert done.code == 0, done.err
    config = json.loads((here / "runs/scratch/config.json").read_text())
    assert (config["recipe"], config["arch"], config["opt"], config["epochs"]) == ("scratch", "cel", "adam", 1)
    again = genrekit("train", "--config", "runs/scratch/config.json", "--print-config")
    assert again.code == 0, again.err
    assert "members = 3" in again.out


def test_a_recipe_is_printed_as_a_configuration(genrekit: CommandLine) -> None:
    printed = genrekit("train", "--recipe", "pretrained", "--seed", "3", "--print-config").out
    assert 'features = "musicnn"' in printed
    assert "seed = 3" in printed


def test_an_unknown_recipe_is_refused_with_the_close_one(here: Path, genrekit: CommandLine) -> None:
    refused = genrekit("train", "--recipe", "pretraned")
    assert refused.code == 2
    assert "unknown recipe 'pretraned': did you mean pretrained?" in refused.err
    assert refused.err.count("\n") == 1


def test_a_recipe_is_not_for_resuming(here: Path, genrekit: CommandLine) -> None:
    refused = genrekit("train", "--recipe", "fast", "--resume", "--out", "runs/mlp")
    assert refused.code == 2
    assert "--resume continues a run with its own settings: leave out --recipe" in refused.err


def test_python_takes_a_recipe_and_overrides(here: Path) -> None:
    result = train(CACHE, recipe="scratch", channels=(4, 8), members=1, epochs=1, out="runs/python")
    assert json.loads((result.run / "config.json").read_text())["recipe"] == "scratch"
    with pytest.raises(UsageError, match="a TrainConfig has all values: leave out recipe, got fast"):
        train(CACHE, TrainConfig(), recipe="fast")
