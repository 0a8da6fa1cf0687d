"""genrekit study: list, run and report studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from genrekit.cli.display import DEFAULT_CACHE, emit_json
from genrekit.cli.environment import tracking
from genrekit.cli.groups import CommandGroup
from genrekit.cli.options import (
    BestModelsOption,
    DeviceOption,
    JsonFlag,
    QuietFlag,
    StrictFlag,
    StudyWandbOption,
    WandbProjectOption,
    engine_of,
    takes,
)
from genrekit.cli.progress import terminal
from genrekit.cli.study_options import (
    AllFlag,
    AmendFlag,
    ArmsOption,
    CacheOption,
    ConfigurationsOption,
    DryRunFlag,
    EpochsOption,
    FoldsOption,
    FragmentsOption,
    ReportsOption,
    RunsOption,
    SeedsOption,
    ShardOption,
    SplitOption,
    SplitSeedOption,
    StudyArgument,
    WorkersOption,
    repeating_command,
    reporting_command,
)
from genrekit.config import TrainingEngineConfig
from genrekit.errors import UsageError

app = typer.Typer(cls=CommandGroup, add_completion=False, no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def study() -> None:
    """List studies, run one, or write its report again.

    A study trains several configurations with several seeds each, and tests hypotheses about them. It reads the
    training and validation sets only.
    """


@app.command("list")
def list_included(
    cache: CacheOption = DEFAULT_CACHE,
    runs: RunsOption = Path("runs"),
    show_all: AllFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,  # noqa: ARG001 - every command has it
) -> None:
    """List the included studies: question, configurations, and the time and memory they take."""
    from genrekit.cli.study_display import show_list
    from genrekit.studies.preview import list_studies

    listed = list_studies(cache, runs=runs, hidden=show_all)
    emit_json(listed) if as_json else show_list(listed, str(cache))


@app.command()
@takes(TrainingEngineConfig)
def run(
    values: dict[str, Any],
    context: typer.Context,
    name: StudyArgument,
    cache: CacheOption = DEFAULT_CACHE,
    seeds: SeedsOption = None,
    folds: FoldsOption = None,
    epochs: EpochsOption = None,
    fragments: FragmentsOption = None,
    split: SplitOption = None,
    split_seed: SplitSeedOption = None,
    amend: AmendFlag = False,
    configurations: ConfigurationsOption = None,
    arms: ArmsOption = None,
    workers: WorkersOption = None,
    shard: ShardOption = None,
    device: DeviceOption = "auto",
    dry_run: DryRunFlag = False,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    best_models: BestModelsOption = Path("best_models"),
    wandb: StudyWandbOption = None,
    wandb_project: WandbProjectOption = None,
    strict: StrictFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Train the missing runs of a study, test its hypotheses and write a report.

    Finished runs are not repeated. An interrupted study resumes.
    """
    from genrekit.cli.study_display import print_shard, print_study, show_plan
    from genrekit.studies.plan import StudyOptions
    from genrekit.studies.preview import plan_study
    from genrekit.studies.runner import run_study
    from genrekit.studies.shard_runner import run_shard

    engine = engine_of(TrainingEngineConfig, values)
    if shard is not None and not engine.local:
        raise UsageError("--shard and --engine dask cannot be used together: leave one out")
    selected = (*(configurations or ()), *(arms or ())) or None
    options = StudyOptions(seeds, folds, epochs, fragments, split, split_seed, workers, device, amend, selected)
    if dry_run:
        plan = plan_study(name, cache, options, runs=runs, shard=shard)
        emit_json(plan) if as_json else show_plan(plan)
        return
    tracked = tracking(wandb, wandb_project, default="off")
    common: dict[str, Any] = {
        "runs": runs,
        "reports": reports,
        "best_models": best_models,
        "tracking": tracked,
        "strict": strict,
    }
    if shard is not None:
        with terminal(quiet=quiet or as_json) as reporter:
            part = run_shard(name, cache, shard, options, **common, reporter=reporter)
        print_shard(part, _report_command(context), as_json=as_json)
        return
    with terminal(quiet=quiet or as_json) as reporter:
        result = run_study(
            name, cache, options, **common, command=repeating_command(context.obj), engine=engine, reporter=reporter
        )
    print_study(result, as_json=as_json)


def _report_command(context: typer.Context) -> str:
    group: Any = typer.main.get_command(app)
    return reporting_command(context, group.commands["report"])


@app.command()
def report(
    context: typer.Context,
    name: StudyArgument,
    cache: CacheOption = DEFAULT_CACHE,
    seeds: SeedsOption = None,
    folds: FoldsOption = None,
    epochs: EpochsOption = None,
    fragments: FragmentsOption = None,
    split: SplitOption = None,
    split_seed: SplitSeedOption = None,
    amend: AmendFlag = False,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Write the report of a study from its finished runs, and train nothing."""
    from genrekit.cli.study_display import print_study
    from genrekit.studies.plan import StudyOptions
    from genrekit.studies.runner import run_study

    options = StudyOptions(seeds, folds, epochs, fragments, split, split_seed, amend=amend, configurations=())
    command = repeating_command(context.obj)
    with terminal(quiet=quiet or as_json) as reporter:
        result = run_study(name, cache, options, runs=runs, reports=reports, command=command, reporter=reporter)
    print_study(result, as_json=as_json)
