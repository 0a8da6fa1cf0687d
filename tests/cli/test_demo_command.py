"""genrekit demo: the whole way in a folder of its own. Here with fewer and shorter tracks and trainings."""

from pathlib import Path

import pytest
from tiny_cli import CommandLine

from genrekit.config import TrainConfig
from genrekit.demo.synthesizer import GENRES
from genrekit.workflows import demo


@pytest.fixture(autouse=True)
def _short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "TRACKS_PER_GENRE", 3)
    monkeypatch.setattr(demo, "DURATION_S", 5.0)
    models = {name: TrainConfig.of({**config.model_dump(), "epochs": 1}) for name, config in demo.MODELS.items()}
    monkeypatch.setattr(demo, "MODELS", models)


def test_it_prepares_trains_two_models_compares_evaluates_and_predicts_in_its_own_folder(
    tmp_path: Path, genrekit: CommandLine
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "best_models").mkdir()
    outcome = genrekit("demo")
    assert outcome.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best_models", "data", "genrekit-demo"]
    assert not list((tmp_path / "data").iterdir())
    assert not list((tmp_path / "best_models").iterdir())
    assert sorted(path.name for path in (tmp_path / "genrekit-demo" / "audio").iterdir()) == sorted(GENRES)
    for shown in ("validation, track, seed 0 split", "on the test part", "demo-reggae-000.wav", "genrekit-demo/."):
        assert shown in outcome.out
    assert "genrekit prepare --augment" in outcome.out.splitlines()[-5]


def test_json_holds_the_record_of_every_step(genrekit: CommandLine) -> None:
    found = genrekit("demo", "--json").json
    assert found["prepared"]["tracks"] == 30
    assert [Path(trained["run"]).name for trained in found["trained"]] == ["cel", "mlp"]
    assert len(found["compared"]["runs"]) == len(found["evaluated"]["models"]) == 2
    assert len(found["predicted"]["files"]) == 1


@pytest.mark.slow
def test_it_can_be_run_again_and_gives_the_same(genrekit: CommandLine) -> None:
    first, second = (genrekit("demo", "--json").json for _ in range(2))
    assert first["evaluated"]["models"][0]["confusion"] == second["evaluated"]["models"][0]["confusion"]
    assert second["evaluated"]["readings"] == 1


def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path, genrekit: CommandLine) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.wav").write_bytes(b"mine")
    outcome = genrekit("demo", "music")
    assert outcome.code == 1
    assert "music holds something that is not a demo's" in outcome.err
    assert [path.name for path in (tmp_path / "music").iterdir()] == ["song.wav"]
