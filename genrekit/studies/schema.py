"""What a study file says: a base configuration, axes along which its arms differ, and claims declared beforehand."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from genrekit.config import Config, TrainConfig, fields_with
from genrekit.errors import UsageError, unknown_name
from genrekit.io.files import read_toml

SHIPPED = Path(__file__).parent / "shipped"
"""The folder with the studies that come with genrekit."""

Statistic = Literal["accuracy", "loss", "overfitting", "training_accuracy", "dead_channels"]
At = Literal["last", "best", "equal steps"]
Values = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,-]*")


RUN_FIELDS = frozenset(fields_with(TrainConfig, lambda option: option.scope in ("run", "repetition")))
"""Fields that are set when a study runs, and not in its file."""


class Part(Config):
    """One difference that a claim asserts: the statistic of `higher` is above that of `lower`.

    A pattern such as `waveform-*` on one side means every other arm that matches. With `matched`, both are patterns:
    arms whose names are equal but for the pattern's fixed text form pairs, and their mean difference counts.
    """

    statistic: Statistic
    higher: str
    lower: str
    by: float = Field(
        0.0, ge=-10, le=10, description="Added to the difference: what `higher` may lack; below 0 it must be ahead."
    )
    credits: Literal["higher", "lower"] | None = Field(
        None, description="The arm that the claim praises; an untrained one cannot be. By default the better one."
    )
    matched: bool = False

    @property
    def credited(self) -> Literal["higher", "lower"]:
        """The arm that the claim praises: the more accurate one, or the one with less loss or overfitting."""
        return self.credits or ("higher" if self.statistic in ("accuracy", "training_accuracy") else "lower")


class WinnerClaim(Config):
    """A claim about the best arm: the values of its configuration, or an accuracy that its interval contains."""

    has: Values = Field(default_factory=dict)
    contains: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if bool(self.has) == (self.contains is not None):
            raise ValueError("winner must say either what it has or which accuracy its interval contains")
        if unknown := [name for name in self.has if name not in TrainConfig.model_fields]:
            raise unknown_name("value of a configuration", unknown[0], TrainConfig.model_fields)
        return self


class Claim(Config):
    """A finding that is to be judged: all parts must hold, or what it says of the winner."""

    text: str = Field(min_length=1)
    parts: tuple[Part, ...] = ()
    winner: WinnerClaim | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.parts) == (self.winner is not None):
            raise ValueError(f"the claim {self.text!r} must have either parts or a winner")
        return self


class Override(Config):
    """Values for the arms whose configuration has all those of `when`."""

    when: Values
    set: Values


@dataclass(frozen=True)
class Arm:
    """One configuration of a study, without its seed."""

    name: str
    group: str
    values: Values
    study: str

    def config(self, seed: int, **changed: Any) -> TrainConfig:
        """The training of one seed."""
        return TrainConfig.of({**self.values, **changed, "seed": seed})

    @property
    def epochs(self) -> int:
        """The epochs that its study declares for it."""
        return self.config(0).epochs


class Study(Config):
    """A study file. Its arms are all combinations of its axes' values, on top of `base`."""

    format_version: Literal[1] = 1
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    source: str = ""
    notes: tuple[str, ...] = ()
    at: At = Field("last", description="Where claims are judged: the last epoch, the best, or at equal gradient steps.")
    seeds: int = Field(5, ge=1, le=1_000, description="Seeds of each arm: 0, 1, 2, ...")
    folds: int = Field(
        0, ge=0, le=1_000, description="Folds of each arm and seed, each of which validates; 0 for none."
    )
    base: Values = Field(default_factory=dict)
    axes: dict[str, dict[str, Values]] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    include: tuple[str, ...] = ()
    best: int = Field(0, ge=0, description="Show this many arms only, the best; 0 shows all.")
    claims: tuple[Claim, ...] = ()
    name: Annotated[str, Field(exclude=True)] = ""
    file: Annotated[Path, Field(exclude=True)] = Path()

    @model_validator(mode="after")
    def _has_arms(self) -> Self:
        if not (self.base or self.axes or self.grid or self.include):
            raise ValueError("a study needs a base, axes, a grid or other studies to include")
        for axis, values in self.axes.items():
            for name in (axis, *values):
                if not _NAME.fullmatch(name):
                    raise ValueError(f"axes: {name!r} cannot be part of a run's name: use letters, digits, - and _")
            if not values:
                raise ValueError(f"axes.{axis} names no value")
        for name, choices in self.grid.items():
            if not choices:
                raise ValueError(f"grid.{name} names no value")
        own = [self.base, *(its for values in self.axes.values() for its in values.values())]
        own += [self.grid, *(override.set for override in self.overrides)]
        if fixed := sorted(RUN_FIELDS & set().union(*own)):
            raise ValueError(f"{fixed[0]!r} is no part of an arm: the study's seeds and folds, and options, say it")
        conditions = [name for override in self.overrides for name in override.when]
        if unknown := [name for name in conditions if name not in TrainConfig.model_fields]:
            raise unknown_name("key of when", unknown[0], TrainConfig.model_fields)
        return self

    def own_arms(self) -> list[Arm]:
        """The arms of the study's own axes, in the order of the file.

        Errors: UsageError that names the arm whose configuration is refused.
        """
        if not (self.base or self.axes or self.grid):
            return []
        axes = [list(values.items()) for values in self.axes.values()]
        axes += [
            [(f"{name}={_plain(value)}", {name: value}) for value in choices] for name, choices in self.grid.items()
        ]
        arms = []
        for chosen in product(*axes):
            values = dict(self.base)
            for _, its in chosen:
                values |= its
            values = overridden(values, self.overrides)
            labels = [label for label, _ in chosen]
            arm = Arm("-".join(labels) or self.name, labels[0] if len(labels) > 1 else "", values, self.name)
            try:
                arm.config(0)
            except UsageError as error:
                raise UsageError(f"arm {arm.name}: {error}") from error
            arms.append(arm)
        _require_own_names(arms, "two arms are named {}: what their axes name must tell them apart")
        return arms

    @property
    def fingerprint(self) -> str:
        """What must not change once runs are there: all but what explains it, and the arms of included studies.

        Errors: as of `study_arms`.
        """
        free = {"title", "question", "source", "notes"}
        arms = {"base", "axes", "grid", "overrides", "include"}
        said = [self.model_dump_json(exclude=free, exclude_defaults=True)]
        said += [its.model_dump_json(include=arms, exclude_defaults=True) for _, its in _included(self, ())]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()


def overridden(values: Values, overrides: Sequence[Override]) -> Values:
    """Values with those of the overrides whose conditions they meet, one override after another."""
    changed = dict(values)
    for override in overrides:
        if all(changed.get(key) == wanted for key, wanted in override.when.items()):
            changed |= override.set
    return changed


def shipped_studies() -> list[str]:
    """Names of the studies that come with genrekit, in alphabetical order."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def open_study(name: str) -> Study:
    """Read a study by its name, or by the path of its file.

    Errors: UsageError for an unknown name, or for a file that says what no study can, with the line.
    """
    path = _file_of(name, Path())
    return _shipped(path) if path.parent == SHIPPED else read_study(path)


def _file_of(name: str, folder: Path) -> Path:
    """The file of a study, whose path is relative to a folder.

    Errors: UsageError where it is neither a path nor the name of a study that comes with genrekit.
    """
    if Path(name).suffix == ".toml":
        return folder / name
    if name not in shipped_studies():
        raise unknown_name("study", name, shipped_studies())
    return SHIPPED / f"{name}.toml"


@cache
def _shipped(path: Path) -> Study:
    """Read a study that comes with genrekit, once however many others include it."""
    return read_study(path)


def read_study(path: Path) -> Study:
    """Read a study file.

    Errors: GenrekitError where it cannot be read, UsageError where it says what no study can; both name the file.
    """
    study = _read(path)
    try:
        _require_known_arms(study, study_arms(study))
    except UsageError as error:
        raise UsageError(f"{place_in(path, str(error))}: {error}") from error
    return study


def _read(path: Path) -> Study:
    """Read a study file by itself, without what it includes."""
    require_file_name(path)
    values = read_toml(path)
    for key in ("name", "file"):
        if key in values:
            raise UsageError(f"{place_in(path, key)}: {key} is not set in the file: it follows from it")
    try:
        study = Study.of({**values, "name": path.stem, "file": path})
        study.own_arms()
    except UsageError as error:
        raise UsageError(f"{place_in(path, str(error))}: {error}") from error
    return study


def study_arms(study: Study) -> list[Arm]:
    """The study's own arms and those of the studies that it includes, whose names are put before theirs.

    Errors: UsageError for an unknown study, one that includes itself, or two whose arms are named alike;
    GenrekitError where one cannot be read.
    """
    arms = list(_all_arms(study))
    _require_own_names(arms, "include: two arms are named {}: include each study once, under a name of its own")
    return arms


def _require_own_names(arms: Sequence[Arm], says: str) -> None:
    """Errors: UsageError that says of which name there are two."""
    if twice := [name for name, count in Counter(arm.name for arm in arms).items() if count > 1]:
        raise UsageError(says.format(twice[0]))


def _all_arms(study: Study) -> Iterator[Arm]:
    yield from study.own_arms()
    for prefix, included in _included(study, ()):
        for arm in included.own_arms():
            yield Arm(f"{prefix}/{arm.name}", prefix.partition("/")[0], arm.values, arm.study)


def _included(study: Study, above: tuple[Path, ...]) -> Iterator[tuple[str, Study]]:
    """The studies that one includes, and those that they include, by what is put before the names of their arms."""
    for name in study.include:
        path = _file_of(name, study.file.parent)
        below = (*above, study.file.resolve())
        if path.resolve() in below:
            raise UsageError(f"include: {name!r} includes itself")
        included = _shipped(path) if path.parent == SHIPPED else _read(path)
        yield included.name, included
        yield from ((f"{included.name}/{prefix}", its) for prefix, its in _included(included, below))


def _require_known_arms(study: Study, arms: list[Arm]) -> None:
    names = [arm.name for arm in arms]
    for claim in study.claims:
        for part in claim.parts:
            differences(part, names)


def differences(part: Part, names: list[str]) -> list[tuple[tuple[str, str], ...]]:
    """What a part compares: for each difference the pairs (higher, lower) whose mean it is.

    Errors: UsageError where no arm matches.
    """
    higher, lower = _matching(part.higher, names), _matching(part.lower, names)
    if part.matched:
        pairs = tuple(_pairs(part, higher, lower))
        if not pairs:
            raise UsageError(f"claims: no arm of {part.higher} has a partner in {part.lower}")
        return [pairs]
    found: list[tuple[tuple[str, str], ...]] = [((h, lo),) for h in higher for lo in lower if h != lo]
    if not found:
        raise UsageError(f"claims: {part.higher} is compared with itself alone")
    return found


def _matching(pattern: str, names: list[str]) -> list[str]:
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise unknown_name("arm of a claim", pattern, names)
    return found


def _pairs(part: Part, higher: list[str], lower: list[str]) -> Iterator[tuple[str, str]]:
    """Pair arms whose names differ only in the patterns' own words."""
    own, theirs = (pattern.strip("*").strip("-/") for pattern in (part.higher, part.lower))
    partners = {name.replace(theirs, "", 1): name for name in lower}
    for name in higher:
        if (rest := name.replace(own, "", 1)) in partners:
            yield name, partners[rest]


def require_file_name(path: Path) -> None:
    """Errors: UsageError for a file whose name would name no folder, as `...toml`."""
    if not path.stem.strip("."):
        raise UsageError(f"{path}: its report is named after the file, so the file must have a name")


def place_in(path: Path, message: str) -> str:
    """The file, and the line of what a message is about: the first name in quotes, or the key that it begins with."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    said = re.sub(r"^arm [^:]*: ", "", message)
    for pattern in _what_is_meant(said):
        for number, line in enumerate(lines, 1):
            if re.search(pattern, line):
                return f"{path}, line {number}"
    return str(path)


def _what_is_meant(said: str) -> Iterator[str]:
    """Patterns of the lines that a message may be about, the surest first."""
    if quoted := re.search(r"'([^']+)'", said):
        yield rf"{_as_key(quoted[1])}|[\"']{re.escape(quoted[1])}[\"']"
    key = re.match(r"[\w.]+", said)
    names = [name for name in key[0].split(".") if not name.isdecimal()] if key else []
    if names and (got := re.search(r", got ([^,]+)$", said)):
        yield rf"{_as_key(names[-1])}\s*(\[.*)?(?<![\w.]){re.escape(got[1])}(?![\w.])"
    yield from map(_as_key, reversed(names))


def _as_key(name: str) -> str:
    """A pattern of a TOML table or key of that name."""
    word = rf"[\"']?{re.escape(name)}[\"']?"
    return rf"(^\s*\[+(.*\.)?\s*{word}\s*[\].]|(^|[{{,])\s*([\w-]+\.)*{word}(\.[\w-]+)*\s*=)"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
