"""Measure the accuracy of recipes on the validation set of a cache, and that of the included model on labelled files.

Usage: python benchmarks/accuracy.py [CACHE] [--recipes NAME,...] [--split POLICY] [--files FOLDER]

CACHE is a cache of the training and validation tracks of GTZAN. Each recipe is trained once, into a temporary folder.
FOLDER has a folder of audio files for each genre; files with the name of a track that the model was trained on are left
out. The rows are printed as Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from genrekit import predict, train
from genrekit.data.collection import audio_files
from genrekit.errors import GenrekitError
from genrekit.inference.prediction import FilePrediction
from genrekit.io.markdown import table
from genrekit.metrics.formatting import percent_with_interval
from genrekit.metrics.intervals import wilson
from genrekit.models.bundle import read_metadata
from genrekit.workflows.predict import SHIPPED


def trained(cache: Path, recipe: str, split: str) -> tuple[str, ...]:
    """Train a recipe; return its row: accuracy per track and fragment, parameters and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        result = train(cache, recipe=recipe, split=split, out=Path(folder, "run"))  # type: ignore[arg-type]
        figures = read_metadata(result.bundle).validation_figures
    accuracies = [percent_with_interval(one, digits=1) for one in (figures.track_accuracy, figures.fragment_accuracy)]
    return (recipe, *accuracies, f"{result.parameters:,}", f"{result.seconds:.0f}")


def unseen(folder: Path) -> list[Path]:
    """The audio files in a folder of genres whose names are not those of training tracks of the included model."""
    training = read_metadata(SHIPPED).training
    return [path for path in audio_files(folder, []) if f"{path.parent.name}/{path.stem}" not in training]


def mistake(file: FilePrediction) -> tuple[str, ...]:
    """The row of a file that is predicted wrongly: the two most probable genres with their probabilities."""
    best = [f"{genre} {100 * probability:.0f} %" for genre, probability in file.ranked[:2]]
    return (f"{file.path.parent.name}/{file.path.name}", *best)


def main() -> None:
    """Print the rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, nargs="?", help="a cache to train from")
    parser.add_argument("--recipes", default="pretrained,fast", help="recipes to train [default: %(default)s]")
    parser.add_argument("--split", default="fault-filtered", help="split of the cache [default: %(default)s]")
    parser.add_argument("--files", type=Path, help="labelled files for the included model")
    given = parser.parse_args()
    try:
        if given.cache is not None:
            rows = [trained(given.cache, recipe, given.split) for recipe in given.recipes.split(",")]
            print(table(("recipe", "tracks, %", "fragments, %", "parameters", "seconds"), rows))
        if given.files is not None:
            files = predict(unseen(given.files), SHIPPED).files
            wrong = [file for file in files if file.genre != file.path.parent.name]
            share = percent_with_interval(wilson(len(files) - len(wrong), len(files)), digits=1)
            print(f"{len(files) - len(wrong)} of {len(files)} files are correct, in %: {share}\n")
            print(table(("file", "predicted", "next"), list(map(mistake, wrong))))
    except GenrekitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
