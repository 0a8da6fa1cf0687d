"""genrekit study: list, run and report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_cli import CommandLine
from tiny_study import study as study_of
from tiny_workflow import STUDY

from genrekit.cli.study_display import show_study
from genrekit.metrics.intervals import Interval
from genrekit.studies import preview
from genrekit.studies.noise import Noise
from genrekit.studies.study_files import shipped_studies


@pytest.fixture
def study(here: Path) -> Path:
    path = here / "tiny.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_study_is_run_and_reported(study: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("study", "run", "tiny.toml", "--seeds", "3")
    assert outcome.code == 0
    assert "Tiny: Which is better?" in outcome.out
    assert "fast is better" in outcome.out
    assert "report reports/tiny/report.md" in outcome.out
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    assert lines[0] == "6 runs to do, 0 are already finished"
    assert lines[-1].startswith("6/6  fast-seed2 finished, accuracy ")
    assert Path("reports/tiny/report.html").exists()
    assert "genrekit study run tiny.toml --seeds 3" not in outcome.err
    assert genrekit("study", "run", "tiny.toml", "--seeds", "3").err == ""


def test_a_path_is_not_parsed_as_markup(study: Path, genrekit: CommandLine) -> None:
    study.rename("my[v2].toml")
    outcome = genrekit("study", "run", "my[v2].toml", "--seeds", "1", "--reports", "r[/b]")
    assert outcome.code == 0
    written = next(line for line in outcome.out.splitlines() if line.startswith("report ")).removeprefix("report ")
    assert Path(written).is_file()


def test_columns_name_the_epoch_if_it_is_not_the_tested_one(capsys: pytest.CaptureFixture[str]) -> None:
    result = study_of()
    assert result.head is not None
    show_study(replace(result, head=replace(result.head, at="equal steps")))
    assert "loss (last)" in capsys.readouterr().out
    show_study(result)
    assert "(last)" not in capsys.readouterr().out.replace("tracks (last)", "")


def test_the_table_has_the_figures_at_the_tested_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    result = study_of()
    assert result.head is not None
    best = replace(result, head=replace(result.head, at="best"))
    first = best.runs[0]
    best = replace(best, runs=(replace(first, track_accuracy=Interval(0.123, 0.1, 0.2)), *best.runs[1:]))
    show_study(best)
    shown = capsys.readouterr().out
    assert "tracks (best)" in shown
    assert "12.3 (10.0 to 20.0)" in shown


def test_no_configuration_is_marked_if_none_is_above_chance(capsys: pytest.CaptureFixture[str]) -> None:
    result = study_of()
    show_study(replace(result, runs=tuple(replace(run, trained=False) for run in result.runs)))
    shown = capsys.readouterr().out
    assert "no configuration is above chance" in shown
    assert "=1" not in shown


def test_configurations_that_cannot_be_compared_are_not_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    result = study_of(2, ("",))
    first, second = result.runs
    show_study(replace(result, runs=(first, replace(second, comparable=False)), ties=(), report=Path("report.md")))
    out = capsys.readouterr().out
    assert "-  " in next(line for line in out.splitlines() if second.name in line)[:4]
    assert "- other validation tracks: not ranked" in out
    show_study(replace(result, runs=(replace(first, seeds=(0,)), second), ties=(), report=Path("report.md")))
    assert "with fewer than three seeds, no ties are tested" in capsys.readouterr().out


def test_a_first_without_ties_has_no_mark_of_ties(capsys: pytest.CaptureFixture[str]) -> None:
    two = study_of(2, ("",))
    for ties, first in ((two.ranking[:1], " 1"), (two.ranking, "=1"), ((*two.ranking, "third"), "=1")):
        show_study(replace(two, ties=ties, report=Path("report.md")))
        out = capsys.readouterr().out
        assert any(line.startswith(f"{first}  ") for line in out.splitlines()), out
        assert ("as 1 configuration not shown" in " ".join(out.split())) == ("third" in ties)


@pytest.mark.parametrize(
    ("statistic", "effect"), [("accuracy", "-76.1 points (-90.6 to -61.6)"), ("loss", "-0.761 nats (-0.906 to -0.616)")]
)
def test_an_effect_has_its_unit(statistic: str, effect: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = study_of()
    finding = replace(
        result.findings[0], statistic=statistic, effect=-0.761, low=-0.906, high=-0.616, bound=0.0, p=None
    )
    show_study(replace(result, findings=(finding,)))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if finding.hypothesis[:20] in line)
    assert effect in line
    assert line.isascii()


@pytest.mark.slow
def test_json_has_the_keys_that_others_rely_on(study: Path, genrekit: CommandLine) -> None:
    result = genrekit("study", "run", "tiny.toml", "--seeds", "3", "--json").json
    assert result["study"] == "tiny"
    assert set(result["ranking"]) == {"slow", "fast"}
    for run in result["runs"]:
        assert set(run) >= {"name", "config", "seeds", "track_accuracy", "loss", "parameters"}
        assert set(run["track_accuracy"]) == {"mean", "low", "high"}
    (finding,) = result["findings"]
    assert set(finding) >= {"claim", "verdict", "effect", "low", "high", "p", "epochs", "planned_epochs", "missing"}
    assert finding["verdict"] in ("upheld", "refuted", "equivalent", "undecided", "not trained")


@pytest.mark.slow
def test_the_table_fits_a_narrow_terminal(study: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = genrekit("study", "run", "tiny.toml", "--seeds", "3").out
    assert max(map(len, out.splitlines())) <= 80
    assert "fast is better" in out


def test_remarks_leave_room_for_names(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = study_of()
    first = replace(result.runs[0], name="waveform-nesterov", trained=False, cut="3 of 5 seeds, 30 of 100 epochs")
    show_study(replace(result, runs=(first, *result.runs[1:]), ranking=(first.name, *result.ranking[1:])))
    lines = capsys.readouterr().out.splitlines()
    assert any("waveform-nesterov" in line and "not trained" in line for line in lines), lines
    assert "3 of 5 seeds, 30 of 100 epochs" not in "".join(lines)
    assert "overfitting" not in "".join(lines)


@pytest.mark.slow
def test_a_report_has_the_command_that_repeats_the_runs(study: Path, genrekit: CommandLine) -> None:
    genrekit("study", "run", "tiny.toml", "--seeds", "3", "--json", "-q")
    first = Path("reports/tiny/report.md").read_text(encoding="utf-8")
    assert "```sh\ngenrekit study run tiny.toml --seeds 3\n```" in first
    genrekit("study", "report", "tiny.toml", "--seeds", "3")
    assert Path("reports/tiny/report.md").read_text(encoding="utf-8") == first


def test_a_failed_run_is_a_warning_and_exit_code_1(study: Path, genrekit: CommandLine) -> None:
    study.write_text(STUDY.replace("1e-4", "1e30"), encoding="utf-8")
    outcome = genrekit("study", "run", "tiny.toml", "--seeds", "1")
    assert outcome.code == 1
    assert "warning: slow-seed0 failed: the loss is NaN or infinite" in " ".join(outcome.err.split())
    assert "report reports/tiny/report.md" in outcome.out


def test_a_dry_run_prints_the_plan_and_runs_nothing(study: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("study", "run", "tiny.toml", "--dry-run")
    assert outcome.code == 0
    assert "10 runs to do, about " in outcome.out
    assert "with 5 seeds, a true difference of " in outcome.out
    assert "the noise of seeds and tracks is a typical value" in outcome.out
    assert not list(Path("runs").glob("tiny-*"))
    assert not Path("reports").exists()
    result = genrekit("study", "run", "tiny.toml", "--dry-run", "--seeds", "2", "--json").json
    assert (result["missing"], result["finished"], [configuration["missing"] for configuration in result["arms"]]) == (
        4,
        0,
        [2, 2],
    )
    assert result["noise"] == {"run_sd": 0.025, "track_sd": 0.2, "arms": 0}


def test_a_part_of_a_study_is_trained_and_the_next_command_is_printed(study: Path, genrekit: CommandLine) -> None:
    study.write_text(STUDY.replace("1e-4", "1e30"), encoding="utf-8")
    part = ("study", "run", "tiny.toml", "--seeds", "1", "--runs", "my runs", "--workers", "1", "--shard")
    plan = genrekit(*part, "2/2", "--dry-run")
    assert "1 run to do, about " in plan.out
    outcome = genrekit(*part, "2/2")
    assert (outcome.code, outcome.out.splitlines()) == (
        0,
        [
            "tiny, part 2/2: 1 run, 1 trained, 0 finished before, 0 failed",
            "when all parts are complete: genrekit study report tiny.toml --seeds 1 --runs 'my runs'",
        ],
    )
    failed = genrekit(*part, "1/2", "--json")
    assert (failed.code, failed.json["runs"], failed.json["trained"]) == (1, 1, 0)
    assert [item["path"] for item in failed.json["skipped"]] == ["slow-seed0"]
    assert not Path("reports/tiny/report.md").exists()
    assert genrekit("study", "report", "tiny.toml", "--seeds", "1", "--runs", "my runs").code == 0


def test_a_plan_names_the_number_of_configurations_for_its_noise(
    study: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "noise_of", lambda *_: Noise(0.01, 0.1, 2))
    assert genrekit("study", "run", "tiny.toml", "--dry-run", "--json").json["noise"] == {
        "run_sd": 0.01,
        "track_sd": 0.1,
        "arms": 2,
    }
    out = " ".join(genrekit("study", "run", "tiny.toml", "--dry-run").out.split())
    assert "the noise of seeds and tracks is measured on 2 configurations with three finished seeds" in out


def test_selected_configurations_are_trained_and_a_report_needs_no_training(study: Path, genrekit: CommandLine) -> None:
    assert genrekit("study", "report", "tiny.toml").code == 1
    plan = genrekit("study", "run", "tiny.toml", "--seeds", "3", "--arms", "fa*", "--dry-run", "--json").json
    assert {configuration["name"]: configuration["missing"] for configuration in plan["arms"]} == {"slow": 0, "fast": 3}
    outcome = genrekit("study", "run", "tiny.toml", "--seeds", "3", "--configurations", "fa*")
    assert outcome.code == 0
    assert "without a complete seed: slow" in outcome.out
    assert {path.name for path in Path("runs").glob("tiny-*")} == {f"tiny-fast-seed{seed}" for seed in range(3)}
    assert genrekit("study", "report", "tiny.toml", "--seeds", "3").out == outcome.out


def test_the_list_has_the_question_and_cost_of_each_study(here: Path, genrekit: CommandLine) -> None:
    everything = genrekit("study", "list", "--all", "--cache", "absent.h5", "--json").json
    assert [study["study"] for study in everything["studies"]] == shipped_studies()
    result = genrekit("study", "list", "--cache", "absent.h5", "--json").json
    assert [study["study"] for study in result["studies"]] == shipped_studies(hidden=False)
    assert {(study["seconds"], study["disk"]) for study in result["studies"]} == {(None, None)}
    text = genrekit("study", "list", "--cache", "absent.h5").out
    assert "Adam or SGD" in text
    assert "28,426,250 to 113,559,306 parameters" in text
    assert "3 configurations x 3 seeds x 5 folds; 8,100 parameters; 45 runs to do" in text


def test_a_study_that_cannot_run_on_the_cache_is_listed_with_the_reason(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("study", "list")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("cannot run on data/cache.h5: ") == 1
    assert "cannot run on data/cache.h5: channels must name at most 4 blocks" in " ".join(outcome.out.split())
    result = {study["study"]: study for study in genrekit("study", "list", "--json").json["studies"]}
    assert list(result) == shipped_studies(hidden=False)
    assert result["baselines"]["obstacle"].startswith("channels must name at most 4 blocks")
    assert result["baselines"]["seconds"] is None
    assert result["optimizers"]["obstacle"] == ""
    assert result["optimizers"]["seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["run", "optimisers"], 2, "unknown study 'optimisers': did you mean optimizers", id="name"),
        pytest.param(["report", "optimisers"], 2, "unknown study 'optimisers': did you mean opt", id="name to report"),
        pytest.param(["run", "absent.toml"], 1, "cannot read absent.toml: No such file or directory", id="file"),
        pytest.param(["report", "absent.toml"], 1, "cannot read absent.toml: No such file", id="file to report"),
        pytest.param(["run", "cnn", "mlp"], 2, "Got unexpected extra argument(s) (mlp)", id="two"),
        pytest.param(["run"], 2, "Missing argument 'NAME|FILE.toml'", id="no study"),
        pytest.param(["rnu", "mlp"], 2, "unknown command 'rnu': did you mean run?", id="command"),
        pytest.param(["cnn"], 2, "unknown command 'cnn' (choices: list, run, report)", id="name without command"),
        pytest.param(["list", "mlp"], 2, "Got unexpected extra argument(s) (mlp)", id="list of one"),
        pytest.param(["run", "tiny.toml", "--seeds", "0"], 2, "seeds must be at least 1, got 0", id="seeds"),
        pytest.param(["run", "tiny.toml", "--fragments", "some"], 2, "unknown fragments 'some'", id="fragments"),
        pytest.param(
            ["run", "tiny.toml", "--split", "artists"], 2, "unknown split 'artists': did you mean artist", id="split"
        ),
        pytest.param(
            ["run", "tiny.toml", "--configurations", "fats"],
            2,
            "unknown configuration 'fats': did you mean fast?",
            id="configuration",
        ),
        pytest.param(
            ["report", "tiny.toml", "--configurations", "fast"],
            2,
            "No such option: --configurations",
            id="report trains none",
        ),
        pytest.param(["run", "tiny.toml", "--cache", "absent.h5"], 1, "absent.h5", id="cache"),
        pytest.param(
            ["run", "tiny.toml", "--shard", "1/2", "--engine", "dask", "--scheduler", "tcp://a:1"],
            2,
            "--shard and --engine dask cannot be used together",
            id="shard on dask",
        ),
        pytest.param(["run", "tiny.toml", "--shard", "3/2"], 2, "--shard must be a number from 1/N to N/N", id="shard"),
        pytest.param(
            ["run", "tiny.toml", "--resources", "GPU=1"], 2, "--resources has no effect without", id="resources alone"
        ),
        pytest.param(
            ["run", "tiny.toml", "--engine", "dask", "--scheduler", "tcp://a:1", "--resources", "GPU"],
            2,
            "--resources must be NAME=NUMBER, such as GPU=1, got 'GPU'",
            id="resources",
        ),
        pytest.param(["run", "tiny.toml", "--engine", "dask"], 2, "--engine dask needs --scheduler", id="engine"),
    ],
)
def test_wrong_usage_is_one_line(
    study: Path, genrekit: CommandLine, arguments: list[str], code: int, message: str
) -> None:
    outcome = genrekit("study", *arguments)
    assert (outcome.code, outcome.err.count("\n")) == (code, 1)
    assert message in outcome.err
    assert not list(Path("runs").glob("tiny-*"))


def test_an_invalid_study_file_is_refused_with_the_line(study: Path, genrekit: CommandLine) -> None:
    study.write_text(STUDY.replace("channels", "chanels"), encoding="utf-8")
    outcome = genrekit("study", "run", "tiny.toml")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "tiny.toml, line 6: configuration slow: unknown key 'chanels': did you mean channels?" in outcome.err


def test_a_verdict_on_shortened_runs_names_their_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    result = study_of()
    finding = replace(result.findings[1], epochs=30, planned_epochs=100, note="missing: x")
    show_study(replace(result, findings=(finding,)))
    assert "refuted at 30 of 100 epochs (missing: x)" in " ".join(capsys.readouterr().out.split())


def test_an_earlier_name_of_an_option_still_works_and_is_not_in_the_help(study: Path, genrekit: CommandLine) -> None:
    plans = [
        genrekit("study", "run", "tiny.toml", option, "fa*", "--dry-run", "--json").json["arms"]
        for option in ("--configurations", "--arms")
    ]
    assert [[item["missing"] for item in plan] for plan in plans] == [[0, 5], [0, 5]]
    assert "--arms" not in genrekit("study", "run", "--help").out
