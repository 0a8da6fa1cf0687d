"""The base class of all configurations, the options of their fields, and their error messages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from genrekit.errors import UsageError, shortened, unknown_name

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
    from pydantic_core import ErrorDetails
else:
    ModelMetaclass = type(BaseModel)


class _OneLineErrors(ModelMetaclass):
    """Turns pydantic's errors in a constructor into a UsageError."""

    def __call__(self, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise _usage_error(self, error) from None  # type: ignore[arg-type] # it is a subclass of Config


class Config(BaseModel, metaclass=_OneLineErrors):
    """A frozen configuration that refuses unknown keys.

    Errors: UsageError, one line that names the key, the value and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Validate a mapping of keys to values; keys that are left out take their defaults."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _usage_error(cls, error) from None

    @classmethod
    def of_json(cls, text: str) -> Self:
        """Validate JSON that genrekit wrote. Nothing is converted, so a number in quotes is refused."""
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise _usage_error(cls, error) from None


Panel = Literal[
    "Fragments",
    "Waveform and mel spectrogram",
    "Augmentation",
    "Model",
    "Optimization",
    "Augmentation while training",
    "Machine",
    "Split",
    "Cluster",
]
"""The headings of options on help pages."""

Scope = Literal["model", "comparison", "split", "run", "repetition"]
"""What a field of a training configuration describes.

- `model`: a study or a search may vary it.
- `comparison`: a study may vary it, but all trials of a search share it, so that they can be compared.
- `split`: it selects the training, validation and test set; all trials of a search share it.
- `run`: it is set when a study or search starts.
- `repetition`: it differs between the repeated runs of one configuration.
"""


@dataclass(frozen=True)
class Option:
    """What a field's annotation says about it beside its type, default, range and description.

    - `panel`: the heading of the field on the help page.
    - `scope`: what the field belongs to.
    - `used_by`: whether all models use the field, only networks, or only classical models.
    - `affects_cost`: whether the field changes the time or the memory of a training step.
    - `choices`: returns the names that the field accepts, if its type does not list them.
    - `hidden`: whether help pages leave the field out. The command line accepts it anyway.
    - `hidden_choices`: names that the field accepts but help pages do not list.
    """

    panel: Panel
    scope: Scope = "model"
    used_by: Literal["all models", "networks", "classical models"] = "networks"
    affects_cost: bool = False
    choices: Callable[[], Sequence[str]] | None = None
    hidden: bool = False
    hidden_choices: tuple[str, ...] = ()


def option_of(field: FieldInfo) -> Option | None:
    """Return the `Option` in a field's annotation; None if it has none.

    >>> from genrekit.config import FeatureConfig
    >>> option_of(FeatureConfig.model_fields["n_mels"]).panel
    'Waveform and mel spectrogram'
    """
    return next((item for item in field.metadata if isinstance(item, Option)), None)


def fields_with(schema: type[Config], has: Callable[[Option], bool]) -> tuple[str, ...]:
    """Return the names of the fields whose option has a property, in the order of the schema.

    >>> from genrekit.config import TrainConfig
    >>> fields_with(TrainConfig, lambda option: option.scope == "split")
    ('split', 'split_seed')
    """
    options = {name: option_of(field) for name, field in schema.model_fields.items()}
    return tuple(name for name, option in options.items() if option is not None and has(option))


def listed_fields(schema: type[Config]) -> list[str]:
    """Return the names of the fields that messages list: those that files may have and that are not hidden.

    >>> from genrekit.config import TrainConfig
    >>> "sched" in listed_fields(TrainConfig), "sched_by" in listed_fields(TrainConfig)
    (True, False)
    """
    hidden = fields_with(schema, lambda option: option.hidden)
    return [name for name, field in schema.model_fields.items() if not field.exclude and name not in hidden]


def split_items(value: object) -> object:
    """Split the text "64,32" into 64 and 32, and "none" into no items. Other values are returned unchanged."""
    if isinstance(value, str):
        return () if value.strip().lower() in ("", "none") else tuple(part.strip() for part in value.split(","))
    return value


def to_toml(config: Config) -> str:
    """Write a flat configuration as TOML, each value below its description.

    >>> from genrekit.config import Augmentation
    >>> print(to_toml(Augmentation()).splitlines()[1])
    augment = false
    """
    lines = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        lines += [f"# {field.description}", f"{name} = {_toml(value)}" if value is not None else f"# {name} ="]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Write a value on one line. Numbers, texts and lists are the same in JSON and TOML; TOML has no null."""
    if isinstance(value, Config):
        items = value.model_dump(mode="json").items()
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in items if item is not None) + "}"
    return json.dumps(value)


def _usage_error(cls: type[Config], error: ValidationError) -> UsageError:
    first = min(error.errors(), key=_urgency)
    key = ".".join(
        str(part) for part in first["loc"] if not str(part).startswith(("function-", "literal[", "constrained-"))
    )
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(cls, [str(part) for part in first["loc"]])
    if kind == "literal_error" and key == "format_version":
        return UsageError(
            f"format_version {shortened(repr(first['input']))} is not supported; this version of genrekit reads "
            f"{context['expected']}"
        )
    if kind == "literal_error":
        hidden = _hidden_choices(cls, [str(part) for part in first["loc"]])
        choices = [name for name in _choices(str(context["expected"])) if name not in hidden]
        return unknown_name(re.sub(r"\.\d+$", "", key), shortened(str(first["input"])), choices)
    if kind == "value_error":
        return UsageError(str(context["error"]))
    if kind == "missing":
        return UsageError(_missing(key, first))
    message = _lower_first(first["msg"]).replace("valid tuple", "list")
    return UsageError(f"{key}: {message}, got {shortened(repr(first['input']))}".removeprefix(": "))


def _missing(key: str, item: ErrorDetails) -> str:
    """Say what is missing: a key, or an item of a list. The input of a missing key is the whole mapping."""
    if isinstance(item["loc"][-1], int):
        return f"{key.rpartition('.')[0]}: a value is missing after {shortened(','.join(map(str, item['input'])))}"
    return f"{key}: field required"


def _urgency(item: ErrorDetails) -> int:
    """Order the errors of a configuration: another version explains unknown keys, and a misspelling a missing key."""
    if item["loc"] == ("format_version",):
        return 0
    return 1 if item["type"] == "extra_forbidden" else 2


def _unknown_key(cls: type[Config], location: list[str]) -> UsageError:
    """Compare a key with the keys of the configuration that contains it."""
    *parents, key = location
    named = [parent for parent in reversed(parents) if not parent.isdecimal()]
    return unknown_name(" of ".join(["key", *named]), shortened(key), listed_fields(_config_at(cls, parents)))


def _hidden_choices(cls: type[Config], location: list[str]) -> tuple[str, ...]:
    """Return the names that the field at a location accepts but that messages do not list."""
    fields = _config_at(cls, location).model_fields
    option = next((option_of(fields[part]) for part in reversed(location) if part in fields), None)
    return () if option is None else option.hidden_choices


def _config_at(cls: type[Config], location: list[str]) -> type[Config]:
    """Return the configuration that contains the value at a location."""
    for part in location:
        if part in cls.model_fields:  # otherwise it is an index of a list
            cls = next(_configs(cls.model_fields[part].annotation), cls)
    return cls


def _configs(annotation: Any) -> Iterator[type[Config]]:
    """Yield the configurations in an annotation, such as the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for inner in get_args(annotation):
        yield from _configs(inner)


def _choices(expected: str) -> list[str]:
    """Read pydantic's "'a', 'b' or 'c'" as a, b and c."""
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
