"""genrekit search: search hyperparameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from genrekit.cli.display import DEFAULT_CACHE, emit_json
from genrekit.cli.environment import tracking
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
    CacheOption,
    DryRunFlag,
    FragmentsOption,
    ReportsOption,
    RunsOption,
    SearchEpochsOption,
    SearchSeedsOption,
    SplitOption,
    SplitSeedOption,
    WorkersOption,
    repeating_command,
)
from genrekit.config import TrainingEngineConfig

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(TrainingEngineConfig)
def search(
    values: dict[str, Any],
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="Search file.", show_default=False)],
    cache: CacheOption = DEFAULT_CACHE,
    seeds: SearchSeedsOption = None,
    epochs: SearchEpochsOption = None,
    fragments: FragmentsOption = None,
    split: SplitOption = None,
    split_seed: SplitSeedOption = None,
    workers: WorkersOption = None,
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
    """Search hyperparameters, and train the best configurations with several seeds.

    Trials that fall behind are stopped early. The best trials are trained again with other seeds, and the report ranks
    these runs. An interrupted search resumes. It reads the training and validation sets only.
    """
    from genrekit.cli.search_display import show_search_plan
    from genrekit.cli.study_display import print_study
    from genrekit.studies.plan import StudyOptions
    from genrekit.studies.preview import plan_search
    from genrekit.studies.search_runner import run_search

    engine = engine_of(TrainingEngineConfig, values)
    options = StudyOptions(seeds, None, epochs, fragments, split, split_seed, workers, device)
    if dry_run:
        plan = plan_search(file, cache, options, reports=reports)
        emit_json(plan) if as_json else show_search_plan(plan)
        return
    tracked = tracking(wandb, wandb_project, default="off")
    with terminal(quiet=quiet or as_json) as reporter:
        result = run_search(
            file,
            cache,
            options,
            runs=runs,
            reports=reports,
            best_models=best_models,
            tracking=tracked,
            strict=strict,
            command=repeating_command(context.obj),
            engine=engine,
            reporter=reporter,
        )
    print_study(result, as_json=as_json)
