"""Records: what the stages exchange and what `--json` prints."""

import json
import math
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from genrekit.data.collection import Collection, SkippedFile, Track
from genrekit.data.duplicates import SharedPassage
from genrekit.data.matching import SharedAudio
from genrekit.inference.prediction import FilePrediction, FragmentPrediction
from genrekit.io.json_values import to_json
from genrekit.metrics.accuracy import GenreFigures
from genrekit.metrics.calibration import Calibration, CalibrationBin
from genrekit.metrics.epochs import EpochFigures
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.intervals import Interval
from genrekit.metrics.paired_test import PairedFigures
from genrekit.metrics.scores import LevelFigures
from genrekit.workflows.compare import CompareResult, RankedRun
from genrekit.workflows.info import InfoResult
from genrekit.workflows.predict import PredictResult
from genrekit.workflows.prepare import PrepareResult
from genrekit.workflows.train import TrainResult

HALF = Interval(0.5, 0.25, 0.75)

PREPARED = PrepareResult(
    cache=Path("data/cache.h5"),
    tracks=2,
    fragments=12,
    variants=("original", "noise"),
    skipped=(SkippedFile("jazz/jazz.00054.wav", "not decodable"),),
    duplicates=(("metal/a", "rock/b"),),
    near_duplicates=(),
    shared_audio=(SharedPassage("jazz/c", "jazz/d", SharedAudio(0.25, 0.5, 1.0, 2.0, 0.0)),),
    warnings=(),
    reused=1,
    seconds=1.5,
)

TRAINED = TrainResult(
    run=Path("runs/one"),
    bundle=Path("runs/one/best"),
    epochs=3,
    best_epoch=2,
    parameters=1_000,
    seconds=2.5,
    split="track, seed 0",
    validation=EpochFigures(0.75, 0.5, 0.625),
)

LEVEL = LevelFigures(
    count=2,
    accuracy=HALF,
    balanced_accuracy=HALF,
    macro_f1=HALF,
    top2_accuracy=HALF,
    calibration=Calibration(HALF, 0.25, (CalibrationBin(0.6, 0.7, 2, 0.65, 0.5),)),
    confusion=((1, 0), (1, 0)),
)

EVALUATED = EvaluateResult(
    models=(
        ModelFigures(
            bundle=Path("best_models/cel-mel"),
            fragments=12,
            tracks=2,
            left_out=0,
            split="artist, seed 0",
            validation_track_accuracy=0.5,
            fragment_accuracy=HALF,
            track_accuracy=HALF,
            macro_f1=HALF,
            resampled="tracks",
            clusters=2,
            per_genre=(GenreFigures("blues", 1, 1.0, HALF, 0.5),),
            confusion=((1, 0), (1, 0)),
            genres=("blues", "rock"),
            fragment_figures=LEVEL,
            track_figures=LEVEL,
            unknown_genres={"polka": 3},
        ),
    ),
    readings=1,
    comparisons=(PairedFigures(Path("a"), Path("b"), 2, 2, HALF, 0.5, 1.0, tie=True),),
)

PREDICTED = PredictResult(
    bundle=Path("best_models/cel-mel"),
    files=(
        FilePrediction(
            path=Path("song.mp3"),
            genre="blues",
            probabilities={"blues": 0.75, "rock": 0.25},
            fragments=(FragmentPrediction(5.0, "blues", 0.75),),
        ),
    ),
)

COMPARED = CompareResult(
    runs=(
        RankedRun(
            name="one",
            config={"arch": "cel", "hidden": (64,)},
            seeds=(0, 1),
            track_accuracy=Interval(0.5, math.nan, math.nan),
            loss=1.0,
            parameters=1_000,
            split="track, seed 0",
            kept=True,
        ),
    ),
    ranking=("one",),
)


def test_a_preparation_is_json_as_others_rely_on() -> None:
    assert to_json(PREPARED) == {
        "cache": "data/cache.h5",
        "tracks": 2,
        "fragments": 12,
        "variants": ["original", "noise"],
        "skipped": [{"path": "jazz/jazz.00054.wav", "reason": "not decodable"}],
        "duplicates": [["metal/a", "rock/b"]],
        "near_duplicates": [],
        "shared_audio": [
            {
                "first": "jazz/c",
                "second": "jazz/d",
                "shared": {
                    "first_share": 0.25,
                    "second_share": 0.5,
                    "start_s": 1.0,
                    "end_s": 2.0,
                    "second_start_s": 0.0,
                },
            }
        ],
        "warnings": [],
        "reused": 1,
        "seconds": 1.5,
        "padded": [],
        "cancelled": [],
        "silent_fragments": {},
        "unusual_bandwidth": {},
        "notes": [],
        "tracks_per_genre": {},
    }


@pytest.mark.parametrize(
    ("record", "keys"),
    [
        pytest.param(PREPARED, {"": "cache tracks fragments variants skipped duplicates reused seconds"}, id="prepare"),
        pytest.param(
            TRAINED,
            {
                "": "run bundle epochs best_epoch parameters seconds validation",
                "validation": "loss fragment_accuracy track_accuracy",
            },
            id="train",
        ),
        pytest.param(
            EVALUATED,
            {
                "": "models",
                "models.0": (
                    "bundle fragments tracks left_out fragment_accuracy track_accuracy macro_f1 confusion genres"
                ),
                "models.0.fragment_accuracy": "value low high",
                "models.0.track_accuracy": "value low high",
                "models.0.macro_f1": "value low high",
                "models.0.track_figures": "count accuracy balanced_accuracy macro_f1 top2_accuracy calibration",
                "models.0.fragment_figures.calibration": "error chance bins",
                "models.0.unknown_genres": "polka",
                "comparisons.0": "first other tracks difference p p_corrected tie",
            },
            id="evaluate",
        ),
        pytest.param(
            PREDICTED,
            {
                "": "files",
                "files.0": "path genre probabilities fragments",
                "files.0.probabilities": "blues rock",
                "files.0.fragments.0": "start_s genre probability",
            },
            id="predict",
        ),
        pytest.param(
            COMPARED,
            {
                "": "runs ranking ties skipped",
                "runs.0": "name config seeds track_accuracy loss parameters",
                "runs.0.track_accuracy": "mean low high",
            },
            id="compare",
        ),
    ],
)
def test_the_keys_that_others_rely_on_are_there(record: object, keys: dict[str, str]) -> None:
    found = to_json(record)
    for place, names in keys.items():
        value: Any = found
        for part in filter(None, place.split(".")):
            value = value[int(part) if part.isdecimal() else part]
        assert set(names.split()) <= value.keys(), place


@pytest.mark.parametrize("record", [PREPARED, TRAINED, EVALUATED, PREDICTED, COMPARED], ids=lambda r: type(r).__name__)
def test_a_record_survives_json_unchanged(record: object) -> None:
    plain = to_json(record)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@pytest.mark.parametrize(
    ("bundle", "name"), [("best_models/cel-mel", "cel-mel"), ("runs/one/best", "one"), ("best", "best")]
)
def test_a_model_is_called_by_its_folder_or_by_its_run(bundle: str, name: str) -> None:
    assert replace(EVALUATED.models[0], bundle=Path(bundle)).name == name


def test_a_confusion_is_rows_of_numbers_in_json() -> None:
    assert to_json(EVALUATED)["models"][0]["confusion"] == [[1, 0], [1, 0]]


def test_a_number_that_is_not_finite_is_null_in_json() -> None:
    assert to_json(Interval(0.5, -math.inf, math.nan)) == {"value": 0.5, "low": None, "high": None}


def test_paths_and_keys_are_text_in_json() -> None:
    record = InfoResult(Path("data/cache.h5"), "cache", {"files": [Path("a"), {1: Path("b")}]})
    assert to_json(record)["facts"] == {"files": ["a", {"1": "b"}]}


def test_genres_of_a_collection_are_each_once_and_in_order() -> None:
    tracks = tuple(Track(f"{genre}/{n}", Path(), genre) for n, genre in enumerate(["rock", "blues", "rock"]))
    assert Collection(Path(), tracks).genres == ("blues", "rock")


def test_no_record_can_be_changed() -> None:
    kinds = [kind for kind in globals().values() if isinstance(kind, type) and is_dataclass(kind)]
    assert len(kinds) > 15
    for kind in kinds:
        with pytest.raises(FrozenInstanceError):
            setattr(object.__new__(kind), fields(kind)[0].name, None)
