"""Study files: configurations from axes, hypotheses about them, and errors with the line of the file."""

import re
from pathlib import Path

import pytest
from registered import CLASSICAL

from genrekit.errors import GenrekitError, UsageError
from genrekit.studies.comparisons import differences, is_matched
from genrekit.studies.schema import Comparison
from genrekit.studies.study_files import (
    SHIPPED,
    fingerprint,
    open_study,
    read_study,
    shipped_studies,
    study_configurations,
)

HEAD = 'format_version = 1\ntitle = "T"\nquestion = "Q?"\n'


def written(folder: Path, text: str, name: str = "own") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def test_a_list_in_axes_is_named_and_belongs_in_the_grid(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"axes.arch must name its values; .* belongs in \[grid\]"):
        read_study(written(tmp_path, '[axes]\narch = ["cel", "cel2"]\n'))


@pytest.mark.parametrize("name", shipped_studies())
def test_an_included_study_is_valid_and_compares_configurations_that_exist(name: str) -> None:
    study = open_study(name)
    names = [configuration.name for configuration in study_configurations(study)]
    assert len(names) == len(set(names)) > 1
    for hypothesis in study.hypotheses:
        for comparison in hypothesis.comparisons:
            assert differences(comparison, names)


def test_every_study_of_the_source_project_is_included_as_described_and_as_run() -> None:
    ours = {"baselines", "defaults", "leak"}
    described = {name for name in shipped_studies() if not name.endswith("-as-run")}
    assert {f"{name}-as-run" for name in described - ours} == set(shipped_studies()) - described


@pytest.mark.parametrize("name", ["mlp", "cnn", "activations", "optimizers", "training", "regularization"])
def test_runs_of_the_source_project_do_not_stop_early_and_use_one_fragment_per_track(name: str) -> None:
    for suffix in ("", "-as-run"):
        for configuration in study_configurations(open_study(name + suffix)):
            config = configuration.train_config(0)
            assert (config.patience, config.fragments) == (0, "first")


def test_configurations_are_all_combinations_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
[base]
arch = "cel"
epochs = 7
[axes.input]
spectrogram = { input = "mel" }
waveform = { input = "waveform" }
[axes.size]
1 = { channels = [4] }
2 = { channels = [8] }
[grid]
lr = [0.1, 0.01]
[[overrides]]
when = { input = "waveform", lr = 0.1 }
set = { dropout = 0.4 }
""",
    )
    study = read_study(path)
    configurations = {configuration.name: configuration for configuration in study_configurations(study)}
    assert list(configurations)[:3] == ["spectrogram-1-lr=0.1", "spectrogram-1-lr=0.01", "spectrogram-2-lr=0.1"]
    assert len(configurations) == 8
    assert configurations["waveform-2-lr=0.1"].group == "waveform"
    config = configurations["waveform-2-lr=0.1"].train_config(3, epochs=2)
    assert (config.seed, config.epochs, config.dropout, config.channels) == (3, 2, 0.4, (8,))
    assert configurations["waveform-2-lr=0.01"].train_config(0).dropout == 0.2
    assert {configuration.epochs for configuration in configurations.values()} == {7}


def test_the_configurations_of_an_included_study_have_its_name() -> None:
    configurations = {configuration.name: configuration for configuration in study_configurations(open_study("inputs"))}
    assert configurations["cnn/waveform-2"].study == "cnn"
    assert configurations["cnn/waveform-2"].group == "cnn"
    assert configurations["training/spectrogram-32-for-50"].epochs == 50


def test_an_included_file_is_relative_to_the_including_one(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    axes = "[axes.a]\nx = {}\ny = {}\n"
    written(tmp_path / "sub", axes, "inner")
    written(tmp_path / "sub", "include = ['inner.toml']\n" + axes, "middle")
    names = [
        configuration.name
        for configuration in study_configurations(
            read_study(written(tmp_path, "include = ['sub/middle.toml']\n", "outer"))
        )
    ]
    assert names == ["middle/x", "middle/y", "middle/inner/x", "middle/inner/y"]


def test_a_study_file_may_include_the_included_study_of_its_name(tmp_path: Path) -> None:
    names = [
        configuration.name
        for configuration in study_configurations(read_study(written(tmp_path, "include = ['mlp']\n", "mlp")))
    ]
    assert names == [f"mlp/{configuration.name}" for configuration in study_configurations(open_study("mlp"))]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({"own": "own.toml"}, "line 4: include: 'own.toml' includes itself", id="itself"),
        pytest.param({"b": "own.toml", "own": "b.toml"}, "include: 'own.toml' includes itself", id="each other"),
        pytest.param({"own": "./../{}/own.toml"}, "includes itself", id="by another path"),
        pytest.param({"own": "mlp', 'mlp"}, "line 4: include: two configurations are named mlp/1", id="twice"),
    ],
)
def test_a_study_that_includes_itself_or_another_twice_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, included in files.items():
        path = written(tmp_path, f"include = ['{included.format(tmp_path.name)}']\n", name)
    with pytest.raises(UsageError) as caught:
        read_study(path)
    assert message in str(caught.value)


def test_a_fingerprint_covers_included_studies_and_not_the_wording(tmp_path: Path) -> None:
    written(tmp_path, "[grid]\nlr = [0.1, 0.01]\n", "inner")
    own = written(tmp_path, "include = ['inner.toml']\n")
    before = fingerprint(read_study(own))
    own.write_text("notes = ['why']\n" + own.read_text().replace('"T"', '"Title"'), encoding="utf-8")
    written(tmp_path, "seeds = 3\nbest = 1\n[grid]\nlr = [0.1, 0.01]\n", "inner")
    assert fingerprint(read_study(own)) == before
    written(tmp_path, "[grid]\nlr = [0.1, 0.02]\n", "inner")
    assert fingerprint(read_study(own)) != before


NAMES = ["spectrogram-1", "spectrogram-2", "waveform-1", "waveform-2"]


def test_a_pattern_stands_for_every_other_configuration_that_matches() -> None:
    comparison = Comparison(statistic="accuracy", higher="waveform-1", lower="*")
    assert differences(comparison, NAMES) == [
        (("waveform-1", "spectrogram-1"),),
        (("waveform-1", "spectrogram-2"),),
        (("waveform-1", "waveform-2"),),
    ]


def test_matched_configurations_form_pairs() -> None:
    comparison = Comparison(statistic="accuracy", higher="spectrogram-*", lower="waveform-*", matched=True)
    assert differences(comparison, NAMES) == [(("spectrogram-1", "waveform-1"), ("spectrogram-2", "waveform-2"))]


@pytest.mark.parametrize(
    ("higher", "lower", "names"),
    [
        ("elu-*", "relu-*", ["elu-adam", "elu-sgd", "relu-adam", "relu-sgd"]),
        ("*-elu", "*-relu", ["mel-elu", "wave-elu", "mel-relu", "wave-relu"]),
        ("mel-*-elu", "mel-*-relu", ["mel-1-elu", "mel-2-elu", "mel-1-relu", "mel-2-relu"]),
        ("own/elu-*", "own/relu-*", ["own/elu-1", "own/elu-2", "own/relu-1", "own/relu-2"]),
    ],
)
def test_two_sides_of_an_axis_form_pairs_by_default(higher: str, lower: str, names: list[str]) -> None:
    comparison = Comparison(statistic="accuracy", higher=higher, lower=lower)
    first, second, *partners = names
    assert differences(comparison, names) == [((first, partners[0]), (second, partners[1]))]
    alone = comparison.model_copy(update={"matched": False})
    assert len(differences(alone, names)) == 4


@pytest.mark.parametrize(
    ("higher", "lower"),
    [("spectrogram-*", "*"), ("spectrogram-*", "waveform-1"), ("*-1", "waveform-*"), ("*", "*")],
)
def test_sides_that_do_not_pair_up_are_compared_one_by_one(higher: str, lower: str) -> None:
    comparison = Comparison(statistic="accuracy", higher=higher, lower=lower)
    assert all(len(pairs) == 1 for pairs in differences(comparison, NAMES))
    assert len(differences(comparison, NAMES)) > 1


def test_no_included_study_leaves_it_to_the_default_whether_pairs_are_matched() -> None:
    """So the verdicts in docs/results do not depend on the default."""
    for study in map(open_study, shipped_studies()):
        names = [configuration.name for configuration in study_configurations(study)]
        for comparison in (item for hypothesis in study.hypotheses for item in hypothesis.comparisons):
            assert comparison.matched or not is_matched(comparison, names)


def test_a_side_without_one_partner_is_compared_one_by_one() -> None:
    comparison = Comparison(statistic="accuracy", higher="spectrogram-*", lower="waveform-*")
    assert len(differences(comparison, NAMES[:3])) == 2


@pytest.mark.parametrize(
    ("statistic", "favoured"),
    [("accuracy", "higher"), ("training_accuracy", "higher"), ("loss", "lower"), ("overfitting", "lower")],
)
def test_the_better_configuration_is_the_one_that_is_credited(statistic: str, favoured: str) -> None:
    assert Comparison.of({"statistic": statistic, "higher": "a", "lower": "b"}).favoured == favoured


COMPARED = """
[axes.a]
x = {{}}
y = {{}}
[[hypotheses]]
text = "c"
comparisons = [{{ statistic = "accuracy", higher = "x", lower = "{}" }}]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "[base]\narch = 'cel'\nbatchsize = 3\n", "line 6: configuration own: unknown key 'batchsize'", id="key"
        ),
        pytest.param(
            "[base]\narch = 'cell'\n", "line 5: configuration own: unknown arch 'cell': did you mean cel", id="value"
        ),
        pytest.param(
            "[base]\narch = 'cel'\n[[hypotheses]]\ntext = 'c'\nwinner = { has = { opt = 'sgd' } }\nmarginn = 1\n",
            "line 9: unknown key of hypotheses 'marginn' (choices: text, comparisons, winner, planned_text)",
            id="key of a hypothesis",
        ),
        pytest.param("seedz = 3\n[base]\narch = 'cel'\n", "line 4: unknown key 'seedz': did you mean seeds", id="top"),
        pytest.param("seeds = 0\n[base]\narch = 'cel'\n", "line 4: seeds: input should be greater", id="range"),
        pytest.param("", "a study needs a base, axes, a grid or other studies", id="nothing"),
        pytest.param("include = ['cnnn']\n", "unknown study 'cnnn': did you mean cnn", id="included"),
        pytest.param("name = 'x'\n[base]\narch='cel'\n", "line 4: name cannot be set", id="name"),
        pytest.param("[axes.a]\n'x/y' = {}\n", "'x/y' cannot be used in a run's name", id="slash"),
        pytest.param("[grid]\nlr = []\n", "grid.lr has no values", id="empty grid"),
        pytest.param("[grid]\nlr = [0.1, 0.1]\n", "two configurations are named lr=0.1", id="equal configurations"),
        pytest.param(
            "[axes.a]\nx = {}\nx-y = {}\n[axes.b]\ny-z = {}\nz = {}\n",
            "two configurations are named x-y-z",
            id="equal names",
        ),
        pytest.param("include = 'mlp'\n", "include: input should be a list, got 'mlp'", id="text for a list"),
        pytest.param(
            "[base]\narch = 'cel'\n[[overrides]]\nwhen = { archh = 'cel' }\nset = { lr = 0.1 }\n",
            "line 7: unknown key of when 'archh': did you mean arch",
            id="condition",
        ),
        pytest.param("[grid]\nseed = [1, 2]\n", "'seed' cannot be set for a configuration", id="seed"),
        pytest.param("[base]\ndevice = 'cpu'\n", "'device' cannot be set for a configuration", id="device"),
        pytest.param(
            "[base]\narch='cel'\n[[hypotheses]]\ntext='c'\nwinner={has={archh='cel'}}\n", "did you mean arch", id="has"
        ),
        pytest.param(
            COMPARED.format("z"),
            "unknown configuration of a hypothesis 'z'",
            id="configuration",
        ),
        pytest.param(
            COMPARED.format("x"),
            "x is compared with itself only",
            id="itself",
        ),
        pytest.param(
            "[base]\narch='cel'\n[[hypotheses]]\ntext='c'\n", "must have either comparisons or a winner", id="empty"
        ),
    ],
)
def test_an_invalid_study_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_study(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("study", "said", "wrong", "time"),
    [
        pytest.param("cnn", "dropout = 0.3", "dropout = 1.3", 1, id="a value of an configuration"),
        pytest.param("cnn", "lr = 0.0005", "lr = -1", 2, id="a value of the second of two"),
        pytest.param("cnn", "epochs = 100", "epochs = 0", 1, id="a value of the base"),
        pytest.param("cnn", 'statistic = "accuracy"', 'statistic = "acuracy"', 2, id="a word of a hypothesis"),
        pytest.param("cnn", 'lower = "waveform-*"', 'lower = "wavform-*"', 1, id="an configuration of a hypothesis"),
        pytest.param("mlp", "by = 0.03", "by = 20", 1, id="a number of a hypothesis"),
        pytest.param("final", "contains = 0.30", "contains = 1.30", 1, id="a number of the winner"),
        pytest.param("final", 'opt = "sgd"', 'optt = "sgd"', 1, id="a key of the winner"),
        pytest.param("inputs", '"training"', '"trainingg"', 1, id="a study that is included"),
    ],
)
def test_the_line_of_an_error_is_that_of_the_fault(
    tmp_path: Path, study: str, said: str, wrong: str, time: int
) -> None:
    before, *after = (SHIPPED / f"{study}.toml").read_text(encoding="utf-8").split(said)
    path = tmp_path / "own.toml"
    path.write_text(said.join([before, *after[: time - 1]]) + wrong + said.join(after[time - 1 :]), encoding="utf-8")
    line = 1 + said.join([before, *after[: time - 1]]).count("\n")
    with pytest.raises(UsageError, match=re.escape(f"own.toml, line {line}: ")):
        read_study(path)


def test_keys_that_cannot_be_set_are_not_suggested(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown key 'nam'") as caught:
        read_study(written(tmp_path, "nam = 'x'\n[base]\narch = 'cel'\n"))
    assert not {"name", "file"} & set(re.findall(r"\w+", str(caught.value).partition("choices")[2]))


def test_a_study_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text(
        HEAD.replace("format_version = 1", "format_version = 2") + "[base]\narch = 'cel'\n", encoding="utf-8"
    )
    with pytest.raises(UsageError, match="line 1: format_version 2 is not supported; this version of genrekit reads 1"):
        read_study(path)


def test_an_unknown_key_is_reported_before_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "titel.toml"
    path.write_text(HEAD.replace("title =", "titel =") + "[base]\narch = 'cel'\n", encoding="utf-8")
    with pytest.raises(UsageError, match="unknown key 'titel': did you mean title"):
        read_study(path)


def test_invalid_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, "[base\n")
    with pytest.raises(GenrekitError, match="line 4"):
        read_study(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(HEAD + "[grid]\nlr = [0.1, 0.01]\n", encoding="utf-8-sig")
    assert len(study_configurations(read_study(path))) == 2


def test_a_deeply_nested_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match="cannot read"):
        read_study(written(tmp_path, f"notes = {'[' * 5_000}{']' * 5_000}\n"))


@pytest.mark.parametrize("name", ["...toml", "..toml"])
def test_a_file_name_that_cannot_name_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(HEAD + "[grid]\nlr = [0.1, 0.01]\n", encoding="utf-8")
    with pytest.raises(UsageError, match="rename the file"):
        read_study(tmp_path / name)


def test_a_study_file_without_its_suffix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("")
    with pytest.raises(UsageError, match=r"a study file is named by its path, mine\.toml$"):
        open_study("mine")


def test_an_unknown_study_is_refused_with_suggestions() -> None:
    with pytest.raises(UsageError, match="unknown study 'optimisers': did you mean optimizers"):
        open_study("optimisers")


def test_a_classical_configuration_has_one_epoch() -> None:
    for configuration in study_configurations(open_study("baselines")):
        assert (configuration.epochs == 1) == (configuration.train_config(0).arch in CLASSICAL)


OLD_NAMES = """
[axes.a]
x = {}
y = {}
[[claims]]
text = "c"
parts = [{ statistic = "accuracy", higher = "x", lower = "y" }]
"""


def test_the_first_names_of_hypotheses_and_comparisons_are_still_read(tmp_path: Path) -> None:
    new = OLD_NAMES.replace("claims", "hypotheses").replace("parts", "comparisons")
    old_study, new_study = (read_study(written(tmp_path, text)) for text in (OLD_NAMES, new))
    assert old_study.hypotheses == new_study.hypotheses
    assert fingerprint(old_study) == fingerprint(new_study)
    with pytest.raises(UsageError, match="unknown key 'claims'"):
        read_study(written(tmp_path, OLD_NAMES + "[[hypotheses]]\ntext = 'd'\nwinner = { contains = 0.3 }\n"))


def test_a_reworded_hypothesis_keeps_its_fingerprint_with_the_planned_text(tmp_path: Path) -> None:
    planned = read_study(written(tmp_path, OLD_NAMES))
    reworded = OLD_NAMES.replace('text = "c"', 'text = "x is better"')
    assert fingerprint(read_study(written(tmp_path, reworded))) != fingerprint(planned)
    with_planned_text = reworded.replace("parts", 'planned_text = "c"\nparts')
    study = read_study(written(tmp_path, with_planned_text))
    assert fingerprint(study) == fingerprint(planned)
    assert study.hypotheses[0].text == "x is better"


def test_studies_that_repeat_earlier_code_are_not_listed_by_default() -> None:
    hidden = set(shipped_studies()) - set(shipped_studies(hidden=False))
    assert hidden == {name for name in shipped_studies() if name.endswith("-as-run")}
