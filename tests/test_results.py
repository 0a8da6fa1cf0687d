"""The results in docs/results: the table of findings, the archives of records, and the verdicts computed from them."""

import io
import json
import lzma
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from PIL import Image
from readme_output import README
from recompute_results import create_empty_cache, make_workspace, report, tracks_with
from result_records import (
    ARCHIVE,
    RUN_FILES,
    assign_files,
    read_archive,
    read_records,
    read_tracks,
    runs_of,
    unpack,
    write_records,
    write_tracks,
)
from results_table import PAGES, RESULTS, keep, main, renewed, studies, table

from genrekit.cli.app import run
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.config.stored import stored_values
from genrekit.data.cache.layout import CachedTrack, CachePlan
from genrekit.data.cache.reader import open_cache
from genrekit.errors import GenrekitError, UsageError
from genrekit.studies.study_files import fingerprint, open_study, shipped_studies

NAMES = sorted(path.parent.name for path in RESULTS.glob("*/result.json"))

MUSIC = Path(__file__).parents[2] / "shared" / "data" / "gtzan-resynth"
"""The music that the studies were run on, if it is beside the checkout."""

REPORTS = {name: (RESULTS / name / "report.md").read_text(encoding="utf-8") for name in NAMES}


@pytest.fixture(scope="module")
def records() -> dict[str, bytes]:
    return read_records(RESULTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_tables_agree_with_the_results(page: Path) -> None:
    assert renewed(page) == page.read_text(encoding="utf-8"), "nox -s results writes the table"


def test_a_study_without_hypotheses_has_a_row() -> None:
    for study in studies():
        assert table(PAGES[0]).count(f"[{study['study']}](") == 1


def test_every_result_has_the_hypotheses_of_an_included_study() -> None:
    assert NAMES
    assert set(NAMES) <= set(shipped_studies())
    for study in studies():
        hypotheses = [hypothesis.text for hypothesis in open_study(study["study"]).hypotheses]
        assert [finding["claim"] for finding in study["findings"]] == hypotheses


@pytest.mark.parametrize("name", NAMES)
def test_a_study_has_its_charts_its_command_and_one_record_per_experiment(name: str, records: dict[str, bytes]) -> None:
    charts = set(re.findall(r"!\[[^\]]*\]\(<([^>]+)>\)", REPORTS[name]))
    assert {path.name for path in (RESULTS / name).iterdir()} == {"report.md", "result.json", ARCHIVE, *charts}
    for chart in charts:
        assert (RESULTS / name / chart).read_bytes().startswith(b"\x89PNG")
    assert re.search(rf"^genrekit study run {name} ", REPORTS[name], re.MULTILINE)
    runs = json.loads((RESULTS / name / "result.json").read_text(encoding="utf-8"))["runs"]
    experiments = [json.loads(records[path]) for path in records if path.startswith(f"reports/{name}/experiments/")]
    recorded = {(item["arm"], item["seed"]) for item in experiments}
    shown = {(run["name"], seed) for run in runs for seed in run["seeds"]}
    assert shown <= recorded
    assert shown == recorded or open_study(name).best  # such a study shows only the best of all


def test_the_results_have_no_absolute_paths(records: dict[str, bytes]) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in RESULTS.rglob("*") if path.suffix in (".json", ".md")}
    archived = {Path(name): content.decode() for name, content in records.items() if name.endswith(".json")}
    for path, text in {**texts, **archived}.items():
        assert not re.search(r"[\"' (]/\w", text), path


README_FINDINGS = (
    ("Linear discriminant analysis beats a plain convolutional network", "baselines", 2),
    ("Spectrograms beat waveforms", "inputs", 0),
    ("Splitting by fragment instead of by track inflates accuracy", "leak", 0),
    ("Having the same artists in the training and validation sets inflates it", "leak", 1),
    ("L1 regularization gives a lower loss on spectrograms than L2", "regularization", 2),
)
"""The findings that the README names: the words before the figure, the study, and the index of the hypothesis."""


def test_the_readme_names_findings_with_the_figures_of_the_results() -> None:
    text = README.read_text(encoding="utf-8")
    (section,) = re.findall(r"^## What the studies found\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert "(docs/results/README.md)" in section
    difference = r"by ([\d.]+) +(points|nats)(?: of accuracy)? \(([\d.]+) to ([\d.]+)\)"
    sentence = re.compile(rf"([A-Z][^.]*?),? {difference}(?:, [^.]*)?\.")
    sentences = sentence.findall(" ".join(section.split()))
    assert sentences == [finding_in_words(*item) for item in README_FINDINGS]


def test_the_page_on_honest_results_has_the_figures_of_the_study_of_leaks() -> None:
    page = (README.parent / "docs" / "explanation" / "honest-results.md").read_text(encoding="utf-8")
    figures = re.findall(
        r"splitting by fragment adds ([\d.]+) points.*artists on both sides add ([\d.]+) points", " ".join(page.split())
    )
    assert figures == [tuple(finding_in_words("", "leak", hypothesis)[1] for hypothesis in (0, 1))]


def finding_in_words(words: str, study: str, hypothesis: int) -> tuple[str, ...]:
    """A finding as the README has it: a difference with a verdict, without its sign."""
    finding = json.loads((RESULTS / study / "result.json").read_text(encoding="utf-8"))["findings"][hypothesis]
    assert finding["verdict"] in ("upheld", "refuted")
    factor = {"accuracy": 100, "loss": 1}[finding["statistic"]]
    effect, *interval = (abs(factor * finding[name]) for name in ("effect", "low", "high"))
    low, high = sorted(interval)
    return words, f"{effect:.1f}", "points" if factor == 100 else "nats", f"{low:.1f}", f"{high:.1f}"


def test_each_archive_has_the_plan_and_the_complete_runs_that_it_must_have(records: dict[str, bytes]) -> None:
    archives = {name: read_archive(RESULTS / name / ARCHIVE) for name in NAMES}
    assert archives == assign_files(records)
    used = {run for name in NAMES for run in runs_of(records, name)}
    plans = {f"reports/{name}/plan.json" for name in NAMES}
    runs = {f"{run}/{file}" for run in used for file in RUN_FILES}
    assert {path for path in records if "/experiments/" not in path} == plans | runs


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recorded runs, and with caches that have the tracks of the studies but no audio."""
    folder = tmp_path_factory.mktemp("workspace")
    make_workspace(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_records_give_the_figures_and_verdicts_of_a_study(
    name: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs the command that the report names, as `study report` instead of `study run`.

    Runs are found by the digests of their tracks. A cache with other tracks than the recorded runs finds none.
    """
    monkeypatch.chdir(workspace)
    expected = json.loads((RESULTS / name / "result.json").read_text(encoding="utf-8"))
    assert report(name) == 0
    actual = json.loads(Path("reports", name, "result.json").read_text(encoding="utf-8"))
    for run_now, recorded in zip(actual["runs"], expected["runs"], strict=True):
        recorded["config"] = completed(recorded["config"], run_now["config"])
    assert_close(actual, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_of_a_study_still_fits_its_file(name: str, records: dict[str, bytes]) -> None:
    assert json.loads(records[f"reports/{name}/plan.json"])["study"] == fingerprint(open_study(name))


def test_a_verdict_names_what_the_runs_lack() -> None:
    """A finding whose runs are shorter or fewer than planned has a mark or a note that says so."""
    for study in studies():
        for finding in study["findings"]:
            epochs = f"at {finding['epochs']} of {finding['planned_epochs']} epochs"
            if finding["epochs"] is not None and finding["verdict"] != "not tested":
                assert f"{finding['verdict']} {epochs}" in REPORTS[study["study"]]
            for name in finding["missing"]:
                assert finding["note"].count("missing: ") == 1
                assert name in study["absent"]


def completed(recorded: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return a recorded configuration with the options that did not exist then, or that its model does not use."""
    config = TrainConfig.of(stored_values(recorded))
    read = config.model_dump(mode="json")
    return {name: read[name] if name not in recorded or config.ignores(name) else recorded[name] for name in names}


def assert_close(actual: Any, expected: Any) -> None:
    """Compare two results. The last digits of floats may differ, because processors round differently."""
    if isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=1e-6, abs=1e-9)
    elif isinstance(expected, (list, dict)):
        assert len(actual) == len(expected)
        for key in expected if isinstance(expected, dict) else range(len(expected)):
            assert_close(actual[key], expected[key])
    else:
        assert actual == expected


@pytest.mark.slow
def test_the_music_has_the_listed_tracks(tmp_path: Path) -> None:
    if not MUSIC.is_dir():
        pytest.skip(f"no music in {MUSIC}")
    cache_path = tmp_path / "all.h5"
    assert run(["prepare", str(MUSIC), "--store", "mel", "--out", str(cache_path)]) == 0  # a fifth of the disk space
    cache = open_cache(cache_path)
    assert cache.skipped == ()
    assert [shared_values(track) for track in cache.tracks] == [shared_values(track) for track in tracks_with("all")]


def shared_values(track: CachedTrack) -> tuple[object, ...]:
    """What does not depend on the copy of the file."""
    values = (track.id, track.genre, track.artists, track.subset, track.first_row, track.rows, track.digest)
    return (*values, track.silent, track.recording, track.done)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder where two studies were run that share a run."""
    for study, runs in {"mlp": ["a", "b"], "cnn": ["b", "c"]}.items():
        report = tmp_path / "reports" / study
        (report / "experiments").mkdir(parents=True)
        for name in ("report.md", "report.html", "result.json", "plan.json", ".lock"):
            (report / name).write_text(study, encoding="utf-8")
        Image.new("RGBA", (40, 30), "white").quantize().save(report / "accuracy.png")
        for name in runs:
            (report / "experiments" / f"{name}.json").write_text(json.dumps({"run": f"runs/{name}"}), encoding="utf-8")
            (tmp_path / "runs" / name / "best").mkdir(parents=True, exist_ok=True)
            for file in (*RUN_FILES, "last.safetensors", "best/model.safetensors"):
                (tmp_path / "runs" / name / file).write_text(name, encoding="utf-8")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def runs_in(archive: Path) -> set[str]:
    return {name.split("/")[1] for name in read_archive(archive) if name.startswith("runs/")}


def test_a_study_is_kept_as_report_charts_result_and_archive(folder: Path) -> None:
    results = folder / "results"
    keep(folder, "mlp", results)
    files = {"report.md", "result.json", "accuracy.png", ARCHIVE}
    assert set(contents(results)) == {f"mlp/{name}" for name in files}
    reports = {f"reports/mlp/{name}.json" for name in ("plan", "experiments/a", "experiments/b")}
    assert set(read_archive(results / "mlp" / ARCHIVE)) == reports | {
        f"runs/{run}/{name}" for run in "ab" for name in RUN_FILES
    }


def test_a_chart_that_a_study_no_longer_has_is_removed(folder: Path) -> None:
    results = folder / "results"
    keep(folder, "mlp", results)
    (folder / "reports" / "mlp" / "accuracy.png").unlink()
    keep(folder, "mlp", results)
    assert "mlp/accuracy.png" not in contents(results)


def test_a_kept_chart_looks_the_same_and_takes_half_the_bytes(folder: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    for slope in np.linspace(-1, 1, 30):
        axes.plot([0, 1], [0, slope], linewidth=0.7)
    chart = folder / "reports" / "mlp" / "accuracy.png"
    figure.savefig(chart)
    keep(folder, "mlp", folder / "results")
    kept = folder / "results" / "mlp" / "accuracy.png"
    difference = rgb(kept) - rgb(chart)
    assert np.sqrt(np.mean(difference**2)) < 3  # of 255
    assert (rgb(kept)[0, 0] == 255).all()
    assert kept.stat().st_size < chart.stat().st_size / 2


def rgb(chart: Path) -> npt.NDArray[np.float64]:
    with Image.open(chart) as image:
        return np.asarray(image.convert("RGB"), float)


def test_a_shared_run_is_stored_once_in_any_order_of_studies(folder: Path) -> None:
    for results, order in {folder / "one": ["mlp", "cnn"], folder / "two": ["cnn", "mlp"]}.items():
        for study in order:
            keep(folder, study, results)
        assert runs_in(results / "cnn" / ARCHIVE) == {"b", "c"}
        assert runs_in(results / "mlp" / ARCHIVE) == {"a"}
    assert contents(folder / "one") == contents(folder / "two")


def test_a_run_that_no_study_uses_any_more_is_removed(folder: Path) -> None:
    results = folder / "results"
    keep(folder, "mlp", results)
    keep(folder, "cnn", results)
    (folder / "reports" / "cnn" / "experiments" / "b.json").unlink()
    (folder / "reports" / "cnn" / "experiments" / "c.json").unlink()
    keep(folder, "cnn", results)
    assert runs_in(results / "cnn" / ARCHIVE) == set()
    assert runs_in(results / "mlp" / ARCHIVE) == {"a", "b"}


def test_a_shared_run_that_was_trained_again_replaces_the_old_one(folder: Path) -> None:
    results = folder / "results"
    keep(folder, "cnn", results)
    (folder / "runs" / "b" / "history.csv").write_text("new", encoding="utf-8")
    keep(folder, "mlp", results)
    assert read_records(results)["runs/b/history.csv"] == b"new"


def test_a_study_that_cannot_be_kept_leaves_the_results_alone(folder: Path) -> None:
    results = folder / "results"
    keep(folder, "mlp", results)
    before = contents(results)
    (folder / "reports" / "mlp" / "accuracy.png").write_text("new", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"report\.md: run the study in"):
        keep(folder / "elsewhere", "mlp", results)
    with pytest.raises(UsageError, match="study"):
        keep(folder, ".", results)
    (folder / "runs" / "b" / "answers.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"answers\.safetensors: run the study in"):
        keep(folder, "mlp", results)
    experiment = folder / "reports" / "mlp" / "experiments" / "b.json"
    experiment.write_text(json.dumps({"run": "elsewhere/b"}), encoding="utf-8")
    with pytest.raises(GenrekitError, match="mlp has the run elsewhere/b; run studies with --runs runs"):
        keep(folder, "mlp", results)
    assert contents(results) == before


def test_unpacked_studies_are_what_was_kept(folder: Path) -> None:
    keep(folder, "mlp", folder / "results")
    keep(folder, "cnn", folder / "results")
    unpack(folder / "results", folder / "unpacked")
    unpacked = contents(folder / "unpacked")
    weights = re.compile(r"/(best/|last\.safetensors|report\.html|\.lock)")
    kept = {name: content for name, content in contents(folder).items() if name.startswith(("runs/", "reports/"))}
    assert unpacked == {name: content for name, content in kept.items() if not weights.search(name)}
    for study in ("mlp", "cnn"):
        keep(folder / "unpacked", study, folder / "again")
    assert contents(folder / "again") == contents(folder / "results")


@pytest.mark.parametrize("name", ["runs", "reports"])
def test_unpacking_overwrites_nothing(folder: Path, name: str) -> None:
    keep(folder, "mlp", folder / "results")
    (folder / "here" / name).mkdir(parents=True)
    with pytest.raises(GenrekitError, match=f"{name} exists; unpack into another folder"):
        unpack(folder / "results", folder / "here")
    assert contents(folder / "here") == {}


RECORDS = {
    "reports/mlp/plan.json": b"{}",
    "reports/mlp/experiments/a.json": b'{"run": "runs/a"}',
    **{f"runs/a/{name}": name.encode() * 100 for name in RUN_FILES},
}


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_records(tmp_path, RECORDS)
    assert read_records(tmp_path) == RECORDS


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    write_records(tmp_path / "one", RECORDS)
    write_records(tmp_path / "two", dict(reversed(RECORDS.items())))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    with tarfile.open(tmp_path / "one" / "mlp" / ARCHIVE) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["records.json", *sorted(RECORDS)]
    assert {(item.mtime, item.mode, item.uid, item.gid, item.uname, item.gname) for item in members} == {
        (0, 0o644, 0, 0, "", "")
    }


def test_an_archive_with_the_right_files_is_not_written_again(tmp_path: Path) -> None:
    write_records(tmp_path, RECORDS)
    path = tmp_path / "mlp" / ARCHIVE
    path.write_bytes(lzma.compress(lzma.decompress(path.read_bytes()), preset=0))
    before = path.read_bytes()
    write_records(tmp_path, RECORDS)
    assert path.read_bytes() == before
    write_records(tmp_path, {**RECORDS, "runs/a/config.json": b"new"})
    assert read_records(tmp_path)["runs/a/config.json"] == b"new"


def test_two_archives_that_disagree_are_an_error(tmp_path: Path) -> None:
    write_records(tmp_path, RECORDS)
    other = {name.replace("/mlp/", "/cnn/"): content for name, content in RECORDS.items()}
    write_records(tmp_path / "other", {**other, "runs/a/history.csv": b"other"})
    (tmp_path / "other" / "cnn").rename(tmp_path / "cnn")
    with pytest.raises(GenrekitError, match=r"runs/a/history\.csv differs from the copy in another archive"):
        read_records(tmp_path)


def archive_of(path: Path, *members: tarfile.TarInfo, version: int = 1) -> Path:
    header = json.dumps({"format_version": version}).encode()
    first = tarfile.TarInfo("records.json")
    first.size = len(header)
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as archive:
        archive.addfile(first, io.BytesIO(header))
        for member in members:
            archive.addfile(member)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "/runs/a/config.json",
        "../runs/a/config.json",
        "runs/../config.json",
        "runs/./config.json",
        "runs/a/b/config.json",
        "runs/a\\..\\..\\b/config.json",
        "runs/a/model.safetensors",
        "reports/cnn/plan.json",
        "reports/mlp/report.md",
        "reports/mlp/experiments/../../../x.json",
    ],
)
def test_an_archive_with_an_unexpected_path_is_refused(tmp_path: Path, name: str) -> None:
    path = archive_of(tmp_path / "mlp" / ARCHIVE, tarfile.TarInfo(name))
    with pytest.raises(GenrekitError, match="must not have a file"):
        unpack(tmp_path, tmp_path / "unpacked")
    assert contents(tmp_path) == {f"mlp/{ARCHIVE}": path.read_bytes()}
    with pytest.raises(GenrekitError, match="must not have a file"):
        write_records(tmp_path, {**RECORDS, f"runs/a/{name}": b""})


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_an_archive_with_anything_but_files_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("runs/a/config.json")
    member.type, member.linkname = kind, "records.json"
    with pytest.raises(GenrekitError, match=r"runs/a/config\.json is not a regular file"):
        read_archive(archive_of(tmp_path / "mlp" / ARCHIVE, member))


def test_an_archive_of_another_format_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match="this version reads format_version 1"):
        read_archive(archive_of(tmp_path / "mlp" / ARCHIVE, version=2))


@pytest.mark.parametrize("damage", ["cut", "one wrong byte", "no archive", "no header"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    write_records(tmp_path, RECORDS)
    path = tmp_path / "mlp" / ARCHIVE
    whole = path.read_bytes()
    damaged = {
        "cut": whole[:-40],
        "one wrong byte": whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        "no archive": b"text",
        "no header": lzma.compress(bytes(10_240)),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(GenrekitError, match=r"cannot read .*; restore it from version control"):
        read_archive(path)


def test_the_list_of_tracks_is_that_of_a_cache(tmp_path: Path) -> None:
    tracks = tracks_with("all")[:20]
    create_empty_cache(tmp_path / "all.h5", CachePlan(PrepareConfig(), tracks, skipped=()))
    write_tracks(tmp_path, open_cache(tmp_path / "all.h5"))
    listed = read_tracks(tmp_path)
    assert [(item.track, item.digest, item.fragments) for item in listed] == [
        (track.id, track.digest, track.rows) for track in tracks
    ]


def test_the_command_names_its_problem_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr("sys.argv", ["results_table.py", "--unpack", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"runs exists; unpack into another folder$"):
        main()
    monkeypatch.setattr("sys.argv", ["results_table.py", str(tmp_path), "mlp"])
    with pytest.raises(SystemExit, match=r"report\.md: run the study in"):
        main()
