"""The commands as Python functions: they return what --json prints, print nothing, and are documented and typed."""

import ast
import inspect
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tiny_cli import CommandLine

import genrekit as library
from genrekit.io.json_values import to_json

FEATURES = {"sample_rate": 8_000, "duration_s": 0.5, "n_fft": 512, "hop_length": 256, "n_mels": 16}


def test_every_name_of_the_api_exists_and_no_other() -> None:
    for name in library.__all__:
        assert getattr(library, name) is not None
    assert {*library.__all__} <= {*dir(library)}
    with pytest.raises(AttributeError, match="no attribute 'predikt'"):
        library.predikt  # noqa: B018


def test_the_names_for_type_checkers_are_the_names_of_the_api() -> None:
    (block,) = [node for node in ast.parse(inspect.getsource(library)).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    defined_in = {alias.name: node.module for node in imports for alias in node.names}
    assert {*defined_in, "__version__"} == {*library.__all__}
    assert defined_in == library._MODULES


@pytest.mark.parametrize("name", [name for name in library.__all__ if name != "__version__"])
def test_every_name_has_a_docstring_with_an_example_or_shapes(name: str) -> None:
    """The example may be in the docstring of the package, which shows how names are used together."""
    value = getattr(library, name)
    texts = [inspect.getdoc(value) or "", *(inspect.getdoc(method) or "" for method in methods(value))]
    assert all(texts)
    documented = any(re.search(r"^Example: |^>>> |^Shapes: ", text, re.MULTILINE) for text in texts)
    in_package = re.search(rf"^    (>>>|\.\.\.) .*\b{name}\(", str(library.__doc__), re.MULTILINE)
    assert documented or in_package or is_config_or_error(value)


def methods(value: object) -> list[Any]:
    """The public methods that a class defines itself."""
    return [item for name, item in vars(value).items() if not name.startswith("_") and inspect.isfunction(item)]


def is_config_or_error(value: object) -> bool:
    """Configurations describe their fields, and errors have nothing to show."""
    return isinstance(value, type) and (issubclass(value, Exception) or hasattr(value, "model_fields"))


@pytest.mark.parametrize("name", [name for name in library.__all__ if name != "__version__"])
def test_every_parameter_and_result_has_a_type(name: str) -> None:
    value = getattr(library, name)
    functions = methods(value) if isinstance(value, type) else [value]
    for function in functions:
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, function
        for parameter in signature.parameters.values():
            assert parameter.name == "self" or parameter.annotation is not parameter.empty, (function, parameter)


def test_types_are_shipped() -> None:
    assert (files("genrekit") / "py.typed").is_file()


def test_results_are_what_json_prints_and_nothing_is_printed(
    here: Path, genrekit: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    command = genrekit("compare", "--json").json
    predicted = genrekit("predict", "data/jazz/jazz-0.wav", "data/blues", "--json").json
    assert to_json(library.compare("runs")) == to_json(library.compare(["runs"])) == command
    assert to_json(library.predict(["data/jazz/jazz-0.wav", "data/blues"])) == predicted
    assert capsys.readouterr() == ("", "")


def test_keywords_and_a_configuration_prepare_the_same_cache(here: Path) -> None:
    features = library.FeatureConfig.of(FEATURES)
    by_keywords = library.prepare("data", out="one.h5", features=features, augment=True, fragments=1, workers=1)
    config = library.PrepareConfig(front_end=features, augmentation=library.Augmentation(augment=True), fragments=1)
    by_config = library.prepare("data", config, out="two.h5", workers=1)
    assert by_keywords.variants == by_config.variants
    with h5py.File("one.h5") as one, h5py.File("two.h5") as two:
        assert one.attrs["config"] == two.attrs["config"]
        np.testing.assert_array_equal(one["mel"][:], two["mel"][:])


def test_keywords_replace_values_of_a_configuration(here: Path) -> None:
    config = library.PrepareConfig(front_end=library.FeatureConfig.of(FEATURES), store="mel", fragments=1)
    noise = library.Augmentation(augmentations=("noise",))
    library.prepare("data", config, out="one.h5", augment=noise, mel_dtype="float32", workers=1)
    facts = library.info("one.h5").facts
    assert (facts["store"], facts["mel_dtype"], facts["fragments_per_track"]) == ("mel", "float32", 1)
    assert facts["variants"] == ["original", "noise"]


@pytest.mark.parametrize("keyword", [{"store": "nothing"}, {"fragments": 0}, {"mel_dtype": "int8"}])
def test_a_wrong_keyword_is_an_error_of_one_line(here: Path, keyword: dict[str, Any]) -> None:
    with pytest.raises(library.GenrekitError, match=next(iter(keyword))) as error:
        library.prepare("data", out="one.h5", **keyword)
    assert "\n" not in str(error.value)
    assert not Path("one.h5").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_mels": 0}, "n_mels: input should be greater than or equal to 1, got 0"),
        ({"n_mel": 96}, "unknown key 'n_mel': did you mean n_mels?"),
        ({"hop_length": 4_096}, "hop_length must be at most n_fft (2048), got 4096"),
    ],
)
def test_a_wrong_configuration_is_an_error_of_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(library.GenrekitError, match=re.escape(message)) as error:
        library.FeatureConfig(**values)
    assert "\n" not in str(error.value)


def test_predictions_take_keywords(here: Path) -> None:
    (file,) = library.predict("data/jazz/jazz-0.wav", hop_seconds=0.2, min_confidence=1).files
    assert [fragment.start_s for fragment in file.fragments] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert not file.confident
    with pytest.raises(library.GenrekitError, match="min_confidence"):
        library.predict("data/jazz/jazz-0.wav", min_confidence=2)


def test_a_loaded_model_predicts_files_and_waveforms(here: Path) -> None:
    model = library.load_model("runs/mlp/best")
    assert model.genres == ("blues", "jazz", "metal")
    assert model.predict("data/jazz/jazz-0.wav") == library.predict("data/jazz/jazz-0.wav", "runs/mlp/best").files[0]
    assert model.predict_proba(np.zeros((2, 8_000)), 8_000).shape == (2, 3)


def test_progress_is_passed_on_for_every_file_and_every_step(here: Path) -> None:
    calls: list[tuple[int, int]] = []
    progress = library.Progress(lambda done, of: calls.append((done, of)))
    library.predict("data/blues", reporter=progress)
    assert calls == [(done, 10) for done in range(1, 11)]
    calls.clear()
    values = {"arch": "mlp", "hidden": (4, 4), "epochs": 2, "device": "cpu"}
    library.train("data/cache.h5", values, out="runs/new", reporter=progress)
    assert calls[-1][0] == calls[-1][1] == len(calls)
    assert [done for done, _ in calls] == [*range(1, len(calls) + 1)]


def test_a_problem_that_the_user_can_fix_is_a_genrekit_error(here: Path) -> None:
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
