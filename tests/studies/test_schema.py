"""Study files: arms from axes, claims on arms, and what is refused with its place."""

import re
from pathlib import Path

import pytest
from registered import CLASSICAL

from genrekit.errors import GenrekitError, UsageError
from genrekit.studies.schema import (
    SHIPPED,
    Part,
    differences,
    open_study,
    read_study,
    shipped_studies,
    study_arms,
)

HEAD = 'format_version = 1\ntitle = "T"\nquestion = "Q?"\n'


def written(folder: Path, text: str, name: str = "own") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", shipped_studies())
def test_a_shipped_study_is_valid_and_each_of_its_claims_compares_arms_that_exist(name: str) -> None:
    study = open_study(name)
    names = [arm.name for arm in study_arms(study)]
    assert len(names) == len(set(names)) > 1
    for claim in study.claims:
        for part in claim.parts:
            assert differences(part, names)


def test_every_study_of_the_source_project_comes_as_described_and_as_run() -> None:
    ours = {"baselines", "leak"}
    described = {name for name in shipped_studies() if not name.endswith("-as-run")}
    assert {f"{name}-as-run" for name in described - ours} == set(shipped_studies()) - described


@pytest.mark.parametrize("name", ["mlp", "cnn", "activations", "optimizers", "training", "regularization"])
def test_runs_of_the_source_project_go_to_the_last_epoch_on_one_fragment_a_track(name: str) -> None:
    for suffix in ("", "-as-run"):
        for arm in study_arms(open_study(name + suffix)):
            config = arm.config(0)
            assert (config.patience, config.fragments) == (0, "first")


def test_arms_are_all_combinations_in_the_order_of_the_file(tmp_path: Path) -> None:
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
    arms = {arm.name: arm for arm in study_arms(study)}
    assert list(arms)[:3] == ["spectrogram-1-lr=0.1", "spectrogram-1-lr=0.01", "spectrogram-2-lr=0.1"]
    assert len(arms) == 8
    assert arms["waveform-2-lr=0.1"].group == "waveform"
    config = arms["waveform-2-lr=0.1"].config(3, epochs=2)
    assert (config.seed, config.epochs, config.dropout, config.channels) == (3, 2, 0.4, (8,))
    assert arms["waveform-2-lr=0.01"].config(0).dropout == 0.2
    assert {arm.epochs for arm in arms.values()} == {7}


def test_the_arms_of_an_included_study_bear_its_name() -> None:
    arms = {arm.name: arm for arm in study_arms(open_study("inputs"))}
    assert arms["cnn/waveform-2"].study == "cnn"
    assert arms["cnn/waveform-2"].group == "cnn"
    assert arms["training/spectrogram-32-for-50"].epochs == 50


def test_a_study_is_included_from_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    axes = "[axes.a]\nx = {}\ny = {}\n"
    written(tmp_path / "sub", axes, "inner")
    written(tmp_path / "sub", "include = ['inner.toml']\n" + axes, "middle")
    names = [arm.name for arm in study_arms(read_study(written(tmp_path, "include = ['sub/middle.toml']\n", "outer")))]
    assert names == ["middle/x", "middle/y", "middle/inner/x", "middle/inner/y"]


def test_an_own_study_may_include_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    names = [arm.name for arm in study_arms(read_study(written(tmp_path, "include = ['mlp']\n", "mlp")))]
    assert names == [f"mlp/{arm.name}" for arm in study_arms(open_study("mlp"))]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({"own": "own.toml"}, "line 4: include: 'own.toml' includes itself", id="itself"),
        pytest.param({"b": "own.toml", "own": "b.toml"}, "include: 'own.toml' includes itself", id="each other"),
        pytest.param({"own": "./../{}/own.toml"}, "includes itself", id="by another path"),
        pytest.param({"own": "mlp', 'mlp"}, "line 4: include: two arms are named mlp/1", id="twice"),
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


def test_a_study_s_fingerprint_covers_what_it_includes_and_not_what_explains_it(tmp_path: Path) -> None:
    written(tmp_path, "[grid]\nlr = [0.1, 0.01]\n", "inner")
    own = written(tmp_path, "include = ['inner.toml']\n")
    before = read_study(own).fingerprint
    own.write_text("notes = ['why']\n" + own.read_text().replace('"T"', '"Title"'), encoding="utf-8")
    written(tmp_path, "seeds = 3\nbest = 1\n[grid]\nlr = [0.1, 0.01]\n", "inner")
    assert read_study(own).fingerprint == before
    written(tmp_path, "[grid]\nlr = [0.1, 0.02]\n", "inner")
    assert read_study(own).fingerprint != before


NAMES = ["spectrogram-1", "spectrogram-2", "waveform-1", "waveform-2"]


def test_a_pattern_means_every_other_arm_that_matches() -> None:
    part = Part(statistic="accuracy", higher="waveform-1", lower="*")
    assert differences(part, NAMES) == [
        (("waveform-1", "spectrogram-1"),),
        (("waveform-1", "spectrogram-2"),),
        (("waveform-1", "waveform-2"),),
    ]


def test_matched_arms_form_pairs_whose_mean_counts() -> None:
    part = Part(statistic="accuracy", higher="spectrogram-*", lower="waveform-*", matched=True)
    assert differences(part, NAMES) == [(("spectrogram-1", "waveform-1"), ("spectrogram-2", "waveform-2"))]


@pytest.mark.parametrize(
    ("statistic", "credited"),
    [("accuracy", "higher"), ("training_accuracy", "higher"), ("loss", "lower"), ("overfitting", "lower")],
)
def test_the_better_arm_is_the_one_that_is_credited(statistic: str, credited: str) -> None:
    assert Part.of({"statistic": statistic, "higher": "a", "lower": "b"}).credited == credited


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[base]\narch = 'cel'\nbatchsize = 3\n", "line 6: arm own: unknown key 'batchsize'", id="key"),
        pytest.param("[base]\narch = 'cell'\n", "line 5: arm own: unknown arch 'cell': did you mean cel", id="value"),
        pytest.param(
            "[base]\narch = 'cel'\n[[claims]]\ntext = 'c'\nwinner = { has = { opt = 'sgd' } }\nmarginn = 1\n",
            "line 9: unknown key of claims 'marginn' (choices: text, parts, winner)",
            id="key of a claim",
        ),
        pytest.param("seedz = 3\n[base]\narch = 'cel'\n", "line 4: unknown key 'seedz': did you mean seeds", id="top"),
        pytest.param("seeds = 0\n[base]\narch = 'cel'\n", "line 4: seeds: input should be greater", id="range"),
        pytest.param("", "a study needs a base, axes, a grid or other studies", id="nothing"),
        pytest.param("include = ['cnnn']\n", "unknown study 'cnnn': did you mean cnn", id="included"),
        pytest.param("name = 'x'\n[base]\narch='cel'\n", "line 4: name is not set in the file", id="name"),
        pytest.param("[axes.a]\n'x/y' = {}\n", "'x/y' cannot be part of a run's name", id="slash"),
        pytest.param("[grid]\nlr = []\n", "grid.lr names no value", id="empty grid"),
        pytest.param("[grid]\nlr = [0.1, 0.1]\n", "two arms are named lr=0.1", id="equal arms"),
        pytest.param(
            "[axes.a]\nx = {}\nx-y = {}\n[axes.b]\ny-z = {}\nz = {}\n", "two arms are named x-y-z", id="equal names"
        ),
        pytest.param("include = 'mlp'\n", "include: input should be a list, got 'mlp'", id="text for a list"),
        pytest.param(
            "[base]\narch = 'cel'\n[[overrides]]\nwhen = { archh = 'cel' }\nset = { lr = 0.1 }\n",
            "line 7: unknown key of when 'archh': did you mean arch",
            id="condition",
        ),
        pytest.param("[grid]\nseed = [1, 2]\n", "'seed' is no part of an arm", id="seed"),
        pytest.param("[base]\ndevice = 'cpu'\n", "'device' is no part of an arm", id="device"),
        pytest.param(
            "[base]\narch='cel'\n[[claims]]\ntext='c'\nwinner={has={archh='cel'}}\n", "did you mean arch", id="has"
        ),
        pytest.param(
            "[axes.a]\nx = {}\ny = {}\n[[claims]]\ntext = 'c'\nparts = [{statistic='accuracy',higher='x',lower='z'}]\n",
            "unknown arm of a claim 'z'",
            id="arm",
        ),
        pytest.param(
            "[axes.a]\nx = {}\ny = {}\n[[claims]]\ntext = 'c'\nparts = [{statistic='accuracy',higher='x',lower='x'}]\n",
            "x is compared with itself alone",
            id="itself",
        ),
        pytest.param("[base]\narch='cel'\n[[claims]]\ntext='c'\n", "must have either parts or a winner", id="empty"),
    ],
)
def test_what_no_study_can_say_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_study(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("study", "said", "wrong", "time"),
    [
        pytest.param("cnn", "dropout = 0.3", "dropout = 1.3", 1, id="a value of an arm"),
        pytest.param("cnn", "lr = 0.0005", "lr = -1", 2, id="a value of the second of two"),
        pytest.param("cnn", "epochs = 100", "epochs = 0", 1, id="a value of the base"),
        pytest.param("cnn", 'statistic = "accuracy"', 'statistic = "acuracy"', 2, id="a word of a claim"),
        pytest.param("cnn", 'lower = "waveform-*"', 'lower = "wavform-*"', 1, id="an arm of a claim"),
        pytest.param("mlp", "by = 0.03", "by = 20", 1, id="a number of a claim"),
        pytest.param("final", "contains = 0.30", "contains = 1.30", 1, id="a number of the winner"),
        pytest.param("final", 'opt = "sgd"', 'optt = "sgd"', 1, id="a key of the winner"),
        pytest.param("inputs", '"training"', '"trainingg"', 1, id="a study that is included"),
    ],
)
def test_the_line_is_that_of_the_fault(tmp_path: Path, study: str, said: str, wrong: str, time: int) -> None:
    before, *after = (SHIPPED / f"{study}.toml").read_text(encoding="utf-8").split(said)
    path = tmp_path / "own.toml"
    path.write_text(said.join([before, *after[: time - 1]]) + wrong + said.join(after[time - 1 :]), encoding="utf-8")
    line = 1 + said.join([before, *after[: time - 1]]).count("\n")
    with pytest.raises(UsageError, match=re.escape(f"own.toml, line {line}: ")):
        read_study(path)


def test_keys_that_a_file_cannot_set_are_not_offered(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown key 'nam'") as caught:
        read_study(written(tmp_path, "nam = 'x'\n[base]\narch = 'cel'\n"))
    assert not {"name", "file"} & set(re.findall(r"\w+", str(caught.value).partition("choices")[2]))


def test_a_study_of_another_format_is_refused_with_the_one_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text(
        HEAD.replace("format_version = 1", "format_version = 2") + "[base]\narch = 'cel'\n", encoding="utf-8"
    )
    with pytest.raises(UsageError, match="line 1: format_version 2 is not supported; this version of genrekit reads 1"):
        read_study(path)


def test_a_key_that_is_not_known_is_named_before_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "titel.toml"
    path.write_text(HEAD.replace("title =", "titel =") + "[base]\narch = 'cel'\n", encoding="utf-8")
    with pytest.raises(UsageError, match="unknown key 'titel': did you mean title"):
        read_study(path)


def test_a_file_that_is_no_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, "[base\n")
    with pytest.raises(GenrekitError, match="line 4"):
        read_study(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(HEAD + "[grid]\nlr = [0.1, 0.01]\n", encoding="utf-8-sig")
    assert len(study_arms(read_study(path))) == 2


def test_a_file_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match="cannot read"):
        read_study(written(tmp_path, f"notes = {'[' * 5_000}{']' * 5_000}\n"))


@pytest.mark.parametrize("name", ["...toml", "..toml"])
def test_a_file_whose_name_would_name_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(HEAD + "[grid]\nlr = [0.1, 0.01]\n", encoding="utf-8")
    with pytest.raises(UsageError, match="the file must have a name"):
        read_study(tmp_path / name)


def test_an_unknown_study_is_refused_with_the_close_ones() -> None:
    with pytest.raises(UsageError, match="unknown study 'optimisers': did you mean optimizers"):
        open_study("optimisers")


def test_a_classical_arm_has_one_epoch() -> None:
    for arm in study_arms(open_study("baselines")):
        assert (arm.epochs == 1) == (arm.config(0).arch in CLASSICAL)
