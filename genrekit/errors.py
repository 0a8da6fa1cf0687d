"""Errors that a user can fix, and the text of messages that several packages need."""

import errno
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches


class GenrekitError(Exception):
    """A problem that the user can fix. The message says what failed, the value, and what to do."""


class UsageError(GenrekitError):
    """An invalid value, such as an unknown name or a number out of range."""


class UnreadableAudioError(GenrekitError):
    """An audio file that cannot be used. The message is the reason, without the name of the file."""


class IncompatibleCacheError(GenrekitError):
    """A cache that is damaged, incomplete, or has another format version or configuration."""


class BundleError(GenrekitError):
    """A bundle that is incomplete, damaged, or has another format version."""


class SplitError(GenrekitError):
    """A split that cannot be made, or in which an artist or a duplicate is in more than one set."""


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """Return the error for an unknown name, with the closest of the choices.

    >>> str(unknown_name("architecture", "cell3", ["cel", "cel2", "cel3"]))
    "unknown architecture 'cell3': did you mean cel3, cel or cel2? (choices: cel, cel2, cel3)"
    """
    known = list(choices)
    plain = {choice.casefold(): choice for choice in known}
    close = [plain[match] for match in get_close_matches(name.casefold(), plain, n=3)]
    hint = f": did you mean {_either(close)}?" if close else ""
    return UsageError(f"unknown {kind} {name!r}{hint} (choices: {', '.join(known)})")


def missing_extra(doing: str, extra: str, modules: Sequence[str]) -> GenrekitError:
    """Return the error for a feature whose optional packages are not installed.

    >>> str(missing_extra("writing tags", "tags", ["mutagen"]))
    "writing tags needs mutagen, which is not installed: pip install 'genrekit[tags]'"
    """
    missing = f"{', '.join(modules)}, which {is_or_are(len(modules))} not installed"
    return GenrekitError(f"{doing} needs {missing}: pip install 'genrekit[{extra}]'")


def unloadable(library: str, partners: Sequence[str], error: Exception) -> GenrekitError:
    """Return the error for a library that cannot be imported, with installed versions, reason and a command to fix it.

    `partners` are libraries whose versions must match. The command uses the requirements in genrekit's metadata.

    >>> str(unloadable("chromapy", [], ModuleNotFoundError("No module named 'chromapy'", name="chromapy")))
    'chromapy is not installed: pip install --upgrade chromapy'
    """
    command = shlex.join(["pip", "install", "--upgrade", *map(_requirement, (*partners, library))])
    if isinstance(error, ModuleNotFoundError) and error.name == library:
        return GenrekitError(f"{library} is not installed: {command}")
    versions = f" with {' and '.join(map(_installed, partners))}" if partners else ""
    return GenrekitError(f"{_installed(library)} cannot be loaded{versions} ({_first_cause(error)}): {command}")


def _requirement(library: str) -> str:
    """Return genrekit's requirement for a library, such as `torch<2.16,>=2.13`, or its name if there is none."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        requirements = requires("genrekit") or []
    except PackageNotFoundError:
        requirements = []
    return next((text for text in requirements if re.match(rf"{re.escape(library)}\b[^;]*$", text)), library)


def _installed(library: str) -> str:
    """Return the name of a library, with its version if known."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return library


def _first_cause(error: BaseException) -> str:
    """Return the message of the first exception, with file names instead of paths of shared libraries."""
    while error.__cause__ is not None:
        error = error.__cause__
    message = re.sub(r"\S*/(\S+\.so)", r"\1", " ".join(str(error).split()))
    return message.rstrip(".") or type(error).__name__


def few(names: Sequence[str], limit: int = 3) -> str:
    """List the first names, and say how many more there are.

    >>> few(["a", "b", "c", "d"]), few(["a"])
    ('a, b, c and 1 more', 'a')
    """
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def shortened(text: str) -> str:
    """Shorten a value of a file, which can be very long, to fit into a message.

    >>> shortened("short"), len(shortened(1_000 * "long"))
    ('short', 101)
    """
    return text if len(text) <= 100 else f"{text[:80]} ... {text[-16:]}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "seed"), counted(5, "seed")
    ('1 seed', '5 seeds')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def is_or_are(count: int) -> str:
    """Return the verb for a number.

    >>> is_or_are(1), is_or_are(2)
    ('is', 'are')
    """
    return "is" if count == 1 else "are"


_PERMISSIONS = "check its permissions or choose another path"
_SPACE = "make space or choose another path"
_PATH = "check the path"

_ADVICE = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EROFS: "choose another path",
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EIO: "check the disk",
    errno.ENOENT: _PATH,
    errno.EEXIST: _PATH,
    errno.EISDIR: _PATH,
    errno.ENOTDIR: _PATH,
    errno.ENAMETOOLONG: _PATH,
    errno.ELOOP: _PATH,
    errno.ENOMEM: "close other programs, or use a smaller model",
    errno.ESPIPE: "name a regular file",
    errno.E2BIG: "name a smaller file",
    errno.EMFILE: "close other programs, or raise the limit of open files (ulimit -n)",
}
"""What to do about errors of the operating system that a user can fix."""


_SURROUNDINGS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE}
    | {errno.ENFILE}
)


def is_of_surroundings(error: BaseException | None) -> bool:
    """Return whether an error comes from the computer, such as a full disk, so that the same work may succeed later.

    >>> is_of_surroundings(OSError(errno.ENOSPC, "No space left on device")), is_of_surroundings(ValueError("NaN"))
    (True, False)
    """
    while error is not None:
        if is_out_of_memory(error) or (isinstance(error, OSError) and error.errno in _SURROUNDINGS):
            return True
        error = error.__cause__
    return False


_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|(?:cannot|unable to) allocate|not enough memory|out of memory|malloc\b.*failed|bad_?alloc",
    re.IGNORECASE,
)
"""Messages of torch, libsndfile and C++ libraries. They have no error class of their own for this."""

NO_MEMORY = "there was not enough memory: close other programs, or use fewer workers or smaller settings"

NO_MEMORY_FOR_FILE = "not enough memory for it: use fewer --workers or close other programs, then run the command again"
"""The reason why a file is skipped for which there is not enough memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, the system or a library means that there is not enough memory.

    >>> is_out_of_memory(RuntimeError("you tried to allocate 8 bytes: not enough memory")), is_out_of_memory(OSError())
    (True, False)
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None
    )


@contextmanager
def file_that_needs_memory() -> Iterator[None]:
    """Turn errors that mean "out of memory" into an UnreadableAudioError, so that only this file is skipped."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UnreadableAudioError(NO_MEMORY_FOR_FILE) from error


def os_error_message(error: OSError) -> str | None:
    """Return the message for an error with a disk, permissions or a path, and what to do; None for other errors.

    >>> os_error_message(OSError(errno.ENOSPC, "No space left on device", "runs/cel"))
    'cannot use runs/cel: No space left on device; make space or choose another path'
    """
    if error.errno not in _ADVICE:
        return None
    target = f"cannot use {error.filename}: " if error.filename else ""
    return f"{target}{error.strerror}; {advice(error)}"


def advice(error: OSError) -> str:
    """Return what to do about an error of the operating system.

    >>> advice(OSError(errno.EACCES, "Permission denied"))
    'check its permissions or choose another path'
    """
    return _ADVICE.get(error.errno or 0, "choose another path")


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
