"""Read study files, the included ones and a user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from genrekit.errors import UsageError, unknown_name
from genrekit.io.files import read_toml
from genrekit.studies.comparisons import differences
from genrekit.studies.schema import MOST_CONFIGURATIONS, Configuration, Study, require_unique_names
from genrekit.studies.toml_lines import locate, require_file_name, require_toml

SHIPPED = Path(__file__).parent / "shipped"
"""The folder with the studies that are included in genrekit."""

_WORDING = frozenset({"title", "question", "source", "notes", "listed"})
"""Fields of a study that may change after its first run."""

_MOST_INCLUDED = 200
"""Most studies that a study includes at all levels."""

_CONFIGURATION_FIELDS = frozenset({"base", "axes", "grid", "overrides", "include"})


def shipped_studies(*, hidden: bool = True) -> list[str]:
    """Return the names of the included studies, in alphabetical order; without `hidden`, only those that are listed."""
    names = sorted(path.stem for path in SHIPPED.glob("*.toml"))
    return names if hidden else [name for name in names if open_study(name).listed]


def open_study(name: str) -> Study:
    """Read an included study by its name, or a study file by its path.

    Errors: UsageError for an unknown name or an invalid file, GenrekitError if the file cannot be read.
    """
    path = _path_of(name, Path())
    return _read_shipped(path) if path.parent == SHIPPED else read_study(path)


def read_study(path: Path) -> Study:
    """Read a study file.

    Errors: GenrekitError if it cannot be read, UsageError with the line if it is invalid.
    """
    study = _read(path)
    try:
        _require_known_names(study)
    except UsageError as error:
        raise UsageError(f"{locate(path, str(error))}: {error}") from error
    return study


def study_configurations(study: Study) -> list[Configuration]:
    """Return the configurations of a study, and those of the studies that it includes, named "STUDY/NAME".

    Errors: UsageError for an unknown study, a study that includes itself, or two configurations with one name;
    GenrekitError if an included study cannot be read.
    """
    configurations = study.own_configurations()
    for prefix, included in _included(study):
        if len(configurations) > MOST_CONFIGURATIONS:
            raise UsageError(f"include: a study can have at most {MOST_CONFIGURATIONS:,} configurations")
        for item in included.own_configurations():
            name, group = f"{prefix}/{item.name}", prefix.partition("/")[0]
            configurations.append(Configuration(name, group, item.values, item.study))
    require_unique_names(
        configurations, "include: two configurations are named {}; include each study once, under its own name"
    )
    return configurations


def fingerprint(study: Study) -> str:
    """Return a digest of what must not change after the first run: everything except the wording.

    Of included studies, the configurations count. The digest uses the key names of the first file format, so the plans
    of earlier versions stay valid.
    Errors: as of `study_configurations`.
    """
    planned = study.model_copy(update={"hypotheses": tuple(item.as_planned for item in study.hypotheses)})
    digested = [planned.model_dump_json(exclude=set(_WORDING), exclude_defaults=True, by_alias=True)]
    for _, included in _included(study):
        digested.append(included.model_dump_json(include=set(_CONFIGURATION_FIELDS), exclude_defaults=True))
    return hashlib.sha256("\n".join(digested).encode()).hexdigest()


def _path_of(name: str, folder: Path) -> Path:
    """The file of an included study, or of a path relative to a folder.

    Errors: UsageError for an unknown name, and for a path of something else than a TOML file.
    """
    path = folder / name
    if path.suffix == ".toml":
        return path
    if name in shipped_studies():
        return SHIPPED / f"{name}.toml"
    if path.exists() or path.suffix or "/" in name:
        require_toml(path, "study")
    file = (folder / name).with_suffix(".toml")
    if file.is_file():
        raise UsageError(f"unknown study {name!r}: a study file is named by its path, {file}")
    raise unknown_name("study", name, shipped_studies(hidden=False))


@cache
def _read_shipped(path: Path) -> Study:
    return read_study(path)


def _read(path: Path) -> Study:
    """Read a study file without the studies that it includes."""
    require_file_name(path)
    values = read_toml(path)
    if "space" in values:
        raise UsageError(f"{locate(path, 'space')}: 'space' is a key of a search: genrekit search {path}")
    for key in ("name", "file"):
        if key in values:
            raise UsageError(f"{locate(path, key)}: {key} cannot be set; it is derived from the file's name")
    try:
        study = Study.of({**values, "name": path.stem, "file": path})
        study.own_configurations()
    except UsageError as error:
        raise UsageError(f"{locate(path, str(error))}: {error}") from error
    return study


def _included(study: Study) -> Iterator[tuple[str, Study]]:
    """Yield the included studies at all levels, with the prefix of their configurations' names.

    Errors: UsageError if they are so many that files must include each other in several ways.
    """
    for number, included in enumerate(_included_by(study, ())):
        if number == _MOST_INCLUDED:
            raise UsageError(f"include: more than {_MOST_INCLUDED} studies are included; include each of them once")
        yield included


def _included_by(study: Study, including: tuple[Path, ...]) -> Iterator[tuple[str, Study]]:
    for name in study.include:
        path = _path_of(name, study.file.parent)
        open_files = (*including, study.file.resolve())
        if path.resolve() in open_files:
            raise UsageError(f"include: {name!r} includes itself")
        included = _read_shipped(path) if path.parent == SHIPPED else _read(path)
        yield included.name, included
        yield from ((f"{included.name}/{prefix}", item) for prefix, item in _included_by(included, open_files))


def _require_known_names(study: Study) -> None:
    """Errors: UsageError if a hypothesis names a configuration that the study does not have."""
    names = [configuration.name for configuration in study_configurations(study)]
    for hypothesis in study.hypotheses:
        for comparison in hypothesis.comparisons:
            differences(comparison, names)
