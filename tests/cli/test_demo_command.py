"""genrekit demo, with fewer and shorter tracks and training runs."""

from pathlib import Path

import pytest
from tiny_cli import CommandLine

from genrekit.config import TrainConfig
from genrekit.demo.synthesizer import GENRES
from genrekit.models.bundle import read_metadata
from genrekit.workflows import demo


@pytest.fixture(autouse=True)
def _short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "TRACKS_PER_GENRE", 3)
    monkeypatch.setattr(demo, "DURATION_S", 5.0)
    models = {name: TrainConfig.of({**config.model_dump(), "epochs": 1}) for name, config in demo.MODELS.items()}
    monkeypatch.setattr(demo, "MODELS", models)


def test_all_steps_run_and_nothing_is_written_outside_the_folder(tmp_path: Path, genrekit: CommandLine) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "best_models").mkdir()
    outcome = genrekit("demo")
    assert outcome.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best_models", "data", "genrekit-demo"]
    assert not list((tmp_path / "data").iterdir())
    assert not list((tmp_path / "best_models").iterdir())
    assert sorted(path.name for path in (tmp_path / "genrekit-demo" / "audio").iterdir()) == sorted(GENRES)
    for shown in ("validation set (track, seed 0 split", "on the test set", "demo-blues-", "genrekit-demo/."):
        assert shown in outcome.out
    assert "genrekit prepare --augment" in outcome.out.splitlines()[-5]


def test_json_has_the_result_of_every_step(genrekit: CommandLine) -> None:
    result = genrekit("demo", "--json").json
    assert result["prepared"]["tracks"] == 30
    assert [Path(trained["run"]).name for trained in result["trained"]] == ["cel", "mlp"]
    assert len(result["compared"]["runs"]) == len(result["evaluated"]["models"]) == 2
    (predicted,) = result["predicted"]["files"]
    metadata = read_metadata(Path(result["trained"][0]["bundle"]))
    track = Path(predicted["path"]).relative_to("genrekit-demo/audio").with_suffix("").as_posix()
    assert track not in {**metadata.training, **metadata.validation}


@pytest.mark.slow
def test_a_second_demo_gives_the_same_results(genrekit: CommandLine) -> None:
    first, second = (genrekit("demo", "--json").json for _ in range(2))
    assert first["evaluated"]["models"][0]["confusion"] == second["evaluated"]["models"][0]["confusion"]
    assert second["evaluated"]["readings"] == 1


def test_a_folder_with_other_files_is_refused_and_unchanged(tmp_path: Path, genrekit: CommandLine) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.wav").write_bytes(b"mine")
    outcome = genrekit("demo", "music")
    assert outcome.code == 1
    assert "music is not empty and not from an earlier demo" in outcome.err
    assert [path.name for path in (tmp_path / "music").iterdir()] == ["song.wav"]
