"""Write predicted genres into the metadata of files or of their copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from genrekit.audio.tags import GenreMode, require_tags, tag_genre
from genrekit.data.collection import SkippedFile
from genrekit.errors import GenrekitError, UsageError, counted, few, unknown_name
from genrekit.inference.prediction import FilePrediction
from genrekit.io.files import require_writable
from genrekit.workflows.reporter import Reporter


@dataclass(frozen=True)
class InputFile:
    """A file, the path of its copy below the folder of copies, and the folder in which it was found, if any."""

    path: Path
    copy: Path
    folder: Path | None = None


class TagWriter:
    """Writes genres into files or copies, or nowhere. `untagged` has the files for which this failed."""

    def __init__(
        self, inputs: Sequence[InputFile], folder: Path | None, in_place: bool, mode: GenreMode, reporter: Reporter
    ) -> None:
        """Check the targets before anything is written.

        Errors: UsageError if copies would replace files or each other, GenrekitError if tags cannot be written.
        """
        if mode not in get_args(GenreMode):
            raise unknown_name("genre_mode", mode, get_args(GenreMode))
        self.untagged: list[SkippedFile] = []
        self._inputs, self._folder, self._in_place, self._mode = inputs, folder, in_place, mode
        self._replaced: dict[str, list[str]] = {}
        self._reporter = reporter
        if folder is None and not in_place:
            return
        require_tags("writing tags")
        if folder is not None:
            if in_place:
                raise UsageError("tags are written into the files themselves or into copies: choose one")
            require_writable(folder)
            _check_copies(inputs, folder)

    def write(self, index: int, prediction: FilePrediction) -> FilePrediction:
        """Write the genre of an input file if tags are written, and the prediction is confident and not `other`."""
        if self._folder is None and not self._in_place:
            return prediction
        if prediction.genre is None or prediction.rejected or not prediction.confident:
            return prediction
        file = self._inputs[index]
        try:
            if self._folder is None:
                target = file.path
                _require_inside(file)
            else:
                target = self._folder / file.copy
                if target.exists() or target.is_symlink():
                    raise GenrekitError(f"{target} already exists: remove it, or choose another folder with --tags-out")
            replaced = tag_genre(file.path, target, prediction.genre, self._mode)
        except GenrekitError as error:
            self.untagged.append(SkippedFile(str(file.path), str(error)))
            self._reporter.warning(f"not tagged: {file.path}: {error}")
            return prediction
        if replaced:
            self._replaced[str(file.path)] = replaced
        return replace(prediction, tagged=target)

    def report_replaced(self) -> None:
        """Report which genres were replaced by predictions."""
        if self._replaced:
            files = [f"{path} ({', '.join(genres)})" for path, genres in self._replaced.items()]
            count = counted(len(files), "file")
            self._reporter.note(f"replaced other genres of {count}: {few(files)}; --genre-mode add keeps them")


def _check_copies(inputs: Sequence[InputFile], folder: Path) -> None:
    sources: dict[Path, Path] = {}
    for file in inputs:
        copy = folder / file.copy
        if copy.exists() and file.path.exists() and copy.samefile(file.path):
            raise UsageError(
                f"the copy {copy} would be the file itself: choose another folder with --tags-out, or use --in-place"
            )
        if sources.setdefault(file.copy, file.path) != file.path:
            raise UsageError(
                f"{sources[file.copy]} and {file.path} would both be copied to {copy}: predict them separately"
            )


def _require_inside(file: InputFile) -> None:
    """Refuse to change a file outside of the folder that was named, to which a link leads."""
    if file.folder is not None and not file.path.resolve().is_relative_to(file.folder.resolve()):
        raise GenrekitError(f"a link leads out of {file.folder} to {file.path.resolve()}: name that file or its folder")
