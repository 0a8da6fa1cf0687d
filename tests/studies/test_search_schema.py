"""Search files: spaces, and errors with the line of the file."""

from pathlib import Path

import pytest

from genrekit.errors import UsageError
from genrekit.studies import search_schema as module
from genrekit.studies.search_schema import Dimension, Search, read_search, typed

TEXT = (module.__doc__ or "").partition("```toml\n")[2].partition("```")[0]


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_a_search(tmp_path: Path) -> None:
    search = read_search(written(tmp_path))
    assert (search.name, search.trials, search.seeds, search.finalists, search.trial_seeds) == ("own", 40, 5, 5, 1)
    assert list(search.dimensions) == ["lr", "batch_size", "channels", "opt", "nesterov"]
    assert search.dimensions["channels"].ends == ([8, 16], [16, 32])


def test_a_trial_has_the_base_its_values_and_overrides(tmp_path: Path) -> None:
    search = read_search(written(tmp_path))
    chosen = {"lr": 0.01, "batch_size": 32, "channels": [8, 16], "opt": "adam", "nesterov": True}
    configuration = search.configuration(7, chosen)
    assert (configuration.name, configuration.study) == ("trial7", "own")
    config = configuration.train_config(3)
    assert (config.arch, config.epochs, config.seed, config.lr) == ("cel2", 30, 3, 0.01)
    assert not config.nesterov
    assert search.configuration(8, {**chosen, "opt": "sgd"}).train_config(3).nesterov


def test_finalists_are_configurations_of_a_study(tmp_path: Path) -> None:
    search = read_search(written(tmp_path))
    chosen = {"lr": 0.01, "batch_size": 32, "channels": [8, 16], "opt": "sgd", "nesterov": True}
    configurations = [search.configuration(number, {**chosen, "lr": 10.0**-number}) for number in (3, 1)]
    study = search.study(configurations)
    assert [(configuration.name, configuration.train_config(0)) for configuration in study.own_configurations()] == [
        (configuration.name, configuration.train_config(0)) for configuration in configurations
    ]
    assert (study.title, study.seeds, study.name) == (search.title, 5, "own")


def test_the_fingerprint_covers_the_space_and_not_the_number_of_trials(tmp_path: Path) -> None:
    search = read_search(written(tmp_path))
    more = read_search(written(tmp_path, TEXT.replace("trials = 40", "trials = 50\nfinalists = 2\nseeds = 3")))
    other = read_search(written(tmp_path, TEXT.replace("3e-2", "4e-2")))
    assert more.fingerprint == search.fingerprint
    assert other.fingerprint != search.fingerprint


def test_whole_numbers_stay_whole() -> None:
    assert isinstance(typed("batch_size", 16.0), int)
    assert isinstance(typed("lr", 1.0), float)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("lr =", "lrr =", "line 9: unknown hyperparameter of space 'lrr': did you mean lr?", id="name"),
        pytest.param("low = 1e-4", "low = 1", "line 9: 'lr' of space: low must be below high (0.03)", id="order"),
        pytest.param("low = 1e-4", "low = 0", "low must be above 0 if log", id="log of 0"),
        pytest.param("low = 1e-4", "lwo = 1", "line 9: 'lr' of space: unknown key 'lwo': did you mean low", id="key"),
        pytest.param("low = 1e-4, ", "", "line 9: 'lr' of space: it must have low and high, or choices", id="one end"),
        pytest.param("log = true", "log = true, step = 0.1", "log and step cannot be combined", id="log and step"),
        pytest.param("step = 16", "step = 99", "line 10: 'batch_size' of space: step must be at most", id="step"),
        pytest.param("step = 16", "step = 0.5", "'batch_size' of space: step must be a whole number, got", id="int"),
        pytest.param("step = 16", "choices = [1]", "choices cannot be combined", id="both"),
        pytest.param('"sgd"]', '"sgdd"]', "line 12: 'opt' of space: 'sgdd' is invalid: unkno", id="choice"),
        pytest.param("trials = 40", "trails = 40", "line 4: unknown key 'trails': did you mean trials?", id="top key"),
        pytest.param("trials = 40", "trials = 0", "line 4: trials: input should be greater than or equal to 1", id="0"),
        pytest.param("trials = 40\n", "", "trials: field required", id="no trials"),
        pytest.param(
            "[space]", "[space]\nseed = { low = 1, high = 2 }", "'seed' of space: it must be the same", id="seed"
        ),
        pytest.param(
            "[space]", "[space]\nepochs = { low = 1, high = 2 }", "'epochs' of space: it must be", id="epochs"
        ),
        pytest.param("[space]", "[space]\narch = { choices = ['cel'] }", "'arch' is in space and in base", id="twice"),
        pytest.param("[space]", "[space]\nopt_ = {}", "unknown hyperparameter of space 'opt_'", id="close"),
        pytest.param("opt = { choices", "sched = { low = 1, high = 2 }\nopt = { choices", "low and high are", id="no"),
        pytest.param(
            "[base]", "[base]\nfolds = 3", "'folds' of base: a search sets its seeds and has no folds", id="folds"
        ),
        pytest.param("[base]", "[base]\ndevice = 'cpu'", "line 6: 'device' of base: a search sets", id="device"),
        pytest.param(
            "[space]", "[space]\ndevice = { choices = ['cpu'] }", "set it with an option", id="choice of device"
        ),
        pytest.param("set = {", "set = { seed = 4,", "overrides cannot set 'seed': it must be the same", id="override"),
        pytest.param("when = {", "when = { optt = 1,", "unknown hyperparameter of overrides 'optt'", id="condition"),
        pytest.param("[base]", "[base]\nepoch = 3", "unknown hyperparameter of base 'epoch'", id="base"),
        pytest.param("[base]", "[base]\ndropout = 2", "dropout: input should be less than 1", id="of base"),
        pytest.param("title", 'name = "x"\ntitle', "'name' cannot be set", id="own name"),
    ],
)
def test_an_invalid_search_is_refused_with_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(UsageError) as error:
        read_search(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_choice_that_needs_another_is_accepted(tmp_path: Path) -> None:
    """Nesterov's momentum needs sgd, which is a choice and not the base's."""
    text = TEXT.partition("[[overrides]]")[0]
    assert read_search(written(tmp_path, text)).dimensions["nesterov"] == Dimension(choices=(True, False))
    with pytest.raises(UsageError, match="'nesterov' of space: True is invalid: nesterov needs opt sgd"):
        read_search(written(tmp_path, text.replace('"adam", "sgd"', '"adam", "adamw"')))


def test_a_search_needs_a_space() -> None:
    with pytest.raises(UsageError, match="space"):
        Search.of({"title": "T", "question": "Q?", "trials": 3, "space": {}})
