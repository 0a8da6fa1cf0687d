"""Options that the commands for studies and searches share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from genrekit.cli.completion import choice

_PLAN, _TRAINING = "Plan", "Training"
"""Headings of the help page."""


def complete_name(incomplete: str) -> list[str]:
    """List the included studies whose names start with the text. If there is none, the shell completes files."""
    from genrekit.studies.study_files import shipped_studies

    return [name for name in shipped_studies() if name.startswith(incomplete)]


StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE.toml",
        help="Name of an included study, or a study file.",
        show_default=False,
        autocompletion=complete_name,
    ),
]
AllFlag = Annotated[
    bool,
    typer.Option("--all", help="List all included studies, also those that repeat the code of an earlier project."),
]
CacheOption = Annotated[Path, typer.Option(metavar="FILE", help="Cache of the runs.")]
RunsOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the runs.")]
ReportsOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the reports.")]

SeedsOption = Annotated[
    int | None,
    typer.Option(
        help="Number of seeds of each configuration. Default: as in the file.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
SearchSeedsOption = Annotated[
    int | None,
    typer.Option(
        help="Number of seeds with which each of the best configurations is trained again. Default: as in the file.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
FoldsOption = Annotated[
    int | None,
    typer.Option(
        help="Number of folds of a cross-validation; 0 for none. Default: as in the file.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option(
        help="Epochs of each run. With fewer than in the file, the verdicts hold for these epochs only.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
SearchEpochsOption = Annotated[
    int | None,
    typer.Option(
        help="Epochs of each trial and run. Default: as in the file.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
FragmentsOption = Annotated[
    str | None,
    typer.Option(
        **choice("all", "first", help="Fragments of each track. Default: as in the file."),
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        **choice(
            "auto",
            "track",
            "artist",
            "fault-filtered",
            "manifest",
            help="Split of all runs. Default: as in the file, else auto.",
        ),
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
SplitSeedOption = Annotated[
    int | None, typer.Option(help="Seed of the split.", show_default=False, rich_help_panel=_PLAN)
]
AmendFlag = Annotated[
    bool,
    typer.Option(
        "--amend",
        help="Accept a study file that changed after its first run; the report says so.",
        rich_help_panel=_PLAN,
    ),
]
ConfigurationsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Train only the configurations with this name; * matches any text. You can repeat it. The report also "
        "includes finished runs of the others.",
        show_default=False,
        rich_help_panel=_TRAINING,
    ),
]
ArmsOption = Annotated[list[str] | None, typer.Option("--arms", hidden=True)]
"""The earlier name of --configurations."""
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="Number of runs at a time; on this machine, they share the CPU cores. Default: 1, or with --engine dask "
        "as many as the workers can run.",
        show_default=False,
        rich_help_panel=_TRAINING,
    ),
]
DryRunFlag = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Train nothing; show the runs and the smallest detectable difference.",
        rich_help_panel=_TRAINING,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="K/N",
        help="Train only part K of N of the runs, for a job of an array, and write no report.",
        show_default=False,
        rich_help_panel="Cluster",
    ),
]

_NOT_REPEATED = frozenset({"--json", "--quiet", "-q"})


def repeating_command(arguments: Sequence[str]) -> str:
    """Return the command line that repeats the runs of a study or a search, for its report.

    Options that only change what is printed are left out.

    >>> repeating_command(["study", "report", "mlp", "--epochs", "30", "--json"])
    'genrekit study run mlp --epochs 30'
    >>> repeating_command(["search", "my rates.toml", "-q"])
    "genrekit search 'my rates.toml'"
    """
    words = [word for word in arguments if word not in _NOT_REPEATED]
    if words[:2] == ["study", "report"]:
        words[1] = "run"
    return shlex.join(["genrekit", *words])


def reporting_command(context: typer.Context, report: Any) -> str:
    """Return the command line that reports a study which `context` has run in parts.

    It has those options that `genrekit study report` knows, if they differ from their defaults.
    """
    words = ["genrekit", "study", "report", context.params["name"]]
    for param in report.params:
        value = context.params.get(param.name)
        if param.name in ("name", "as_json", "quiet") or value is None or value == param.default:
            continue
        words += [param.opts[0]] if value is True else [param.opts[0], str(value)]
    return shlex.join(words)
