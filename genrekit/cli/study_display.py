"""Print studies: the list, a plan, and the results."""

from __future__ import annotations

import typer

from genrekit.cli.display import Output, are_there, duration, emit_json, plain_table, stdout, styled
from genrekit.cli.search_display import show_detectable, show_trials
from genrekit.errors import counted, few
from genrekit.io.files import size_text
from genrekit.metrics.formatting import loss_text, percent_with_interval
from genrekit.metrics.intervals import Interval
from genrekit.studies.findings import Finding
from genrekit.studies.formatting import NONE, effect, p_value
from genrekit.studies.preview import StudyList, StudyPlan
from genrekit.studies.ranking_text import accuracy_at, has_few_seeds, none_trained
from genrekit.studies.results import StudyHead, StudyResult
from genrekit.studies.shard_runner import StudyShard
from genrekit.studies.verdict_text import at_epochs
from genrekit.studies.verdicts import Verdict
from genrekit.workflows.compare import RankedRun

_WIDE = 100
"""Columns of a terminal that shows overfitting, which the report always has."""


def print_study(result: StudyResult, *, as_json: bool) -> None:
    """Print the result of a study or a search; the exit code is 1 if a run failed."""
    emit_json(result) if as_json else show_study(result)
    if result.skipped:
        raise typer.Exit(1)


def print_shard(result: StudyShard, report: str, *, as_json: bool) -> None:
    """Print what became of a share of a study, and the command that reports; the exit code is 1 if a run failed."""
    if as_json:
        emit_json(result)
    else:
        console = stdout()
        console.print(
            f"{result.study}, part {result.number}/{result.of}: {counted(result.runs, 'run')}, {result.trained} "
            f"trained, {result.finished} finished before, {len(result.skipped)} failed"
        )
        console.print(f"when all parts are complete: {report}")
    if result.skipped:
        raise typer.Exit(1)


def show_study(result: StudyResult) -> None:
    """Print the ranking of a study and the verdicts on its hypotheses."""
    console, head = stdout(), result.head
    assert head is not None
    console.print(styled((head.title, "bold"), f": {head.question}"))
    if result.search is not None:
        show_trials(console, result.search)
    _show_ranking(console, result, head)
    _show_findings(console, result.findings)
    console.print(f"report {result.report}")


def _show_ranking(console: Output, result: StudyResult, head: StudyHead) -> None:
    loss = "loss (last)" if head.at == "equal steps" else "loss"
    overfitting = "overfitting" if head.at == "last" else "overfitting (last)"
    tracks = f"tracks ({head.at})"
    columns = ("", "configuration", "seeds", tracks, loss, overfitting, "remarks")
    shown = [column for column in columns if column != overfitting or console.width >= _WIDE]
    table = plain_table(*shown, right=("", "seeds", tracks, loss, overfitting))
    by_name = {run.name: run for run in result.runs}
    ties = result.ties if len(result.ties) > 1 and not none_trained(result) else ()
    for rank, name in enumerate(result.ranking, 1):
        run = by_name[name]
        best_loss = Interval(run.loss, run.loss, run.loss)
        loss_figure = best_loss if head.at == "best" else run.last_loss
        accuracy = accuracy_at(run, head.at)
        cells = (
            f"{'=' if name in ties else ' '}{rank}" if run.comparable else "-",
            name,
            str(len(run.seeds)),
            "" if accuracy is None else percent_with_interval(accuracy, digits=1),
            "" if loss_figure is None else loss_text(loss_figure.value),
            _points(run.overfitting),
            _remarks(run),
        )
        table.add_row(*(cell for column, cell in zip(columns, cells, strict=True) if column in shown))
    console.print(table)
    validated = f"validation, {head.split}, {head.validation_tracks} tracks"
    console.print("; ".join([validated, *_marks(result, ties)]), style="dim")
    if result.absent:
        console.print(f"without a complete seed: {few(result.absent)}", style="dim")


def _remarks(run: RankedRun) -> str:
    return ", ".join(filter(None, ("" if run.trained else "not trained", run.cut)))


def _marks(result: StudyResult, ties: tuple[str, ...]) -> list[str]:
    """What the marks in front of the names mean."""
    by_name = {run.name: run for run in result.runs}
    hidden = len(set(ties) - set(result.ranking))
    also = f", as {counted(hidden, 'configuration')} not shown" if hidden else ""
    marks = [f"= tied with the first{also}"] if ties else []
    if none_trained(result):
        marks = ["no configuration is above chance"]
    elif has_few_seeds(by_name[result.ranking[0]]):
        marks = ["with fewer than three seeds, no ties are tested"]
    return marks + ([] if all(run.comparable for run in result.runs) else ["- other validation tracks: not ranked"])


def _show_findings(console: Output, findings: tuple[Finding, ...]) -> None:
    if not findings:
        return
    table = plain_table("hypothesis", "verdict", "effect", "p", right=("p",))
    for finding in findings:
        note = f" ({finding.note})" if finding.note else ""
        epochs = f" {at_epochs(finding)}" if at_epochs(finding) else ""
        verdict = styled((f"{finding.verdict}{epochs}", _COLOURS[finding.verdict]), note)
        table.add_row(finding.hypothesis, verdict, _ascii(effect(finding)), _ascii(p_value(finding.p)))
    console.print(table)


_COLOURS: dict[Verdict, str] = {
    "upheld": "green",
    "refuted": "red",
    "equivalent": "cyan",
    "undecided": "yellow",
    "not trained": "dim",
    "not tested": "dim",
}


def _ascii(cell: str) -> str:
    """The cell of a report in characters that every terminal can show."""
    return "" if cell == NONE else cell.replace("\N{MINUS SIGN}", "-")


def _points(figure: Interval | None) -> str:
    return "" if figure is None else f"{round(100 * figure.value, 1) + 0.0:.1f}"


def show_list(listed: StudyList, cache: str) -> None:
    """Print the question and the cost of each study, or why it cannot run on the cache."""
    console = stdout()
    for study in listed.studies:
        console.print(styled((study.study, "bold"), f"  {study.question}"))
        console.print(f"  {_cost_line(study)}", style="dim")
        if study.obstacle:
            console.print(f"  cannot run on {cache}: {study.obstacle}", style="yellow")
    console.print()
    console.print(
        "to run one: genrekit study run NAME; to see its plan first: genrekit study run NAME --dry-run", style="dim"
    )


def _cost_line(plan: StudyPlan) -> str:
    parameters = sorted({item.parameters for item in plan.configurations})
    memory = [item.memory for item in plan.configurations if item.memory is not None]
    runs = f"{counted(len(plan.configurations), 'configuration')} x {counted(plan.seeds, 'seed')}"
    seconds = "" if plan.seconds is None else f", about {duration(plan.seconds)}"
    costs = [
        runs + (f" x {counted(plan.folds, 'fold')}" if plan.folds else ""),
        " to ".join(f"{number:,}" for number in dict.fromkeys((parameters[0], parameters[-1]))) + " parameters",
        *([f"up to {size_text(max(memory))} of memory"] if memory else []),
        f"{counted(plan.missing, 'run')} to do{seconds}",
    ]
    return "; ".join(costs)


def show_plan(plan: StudyPlan) -> None:
    """Print what a study would do."""
    console = stdout()
    console.print(styled((plan.title, "bold"), f": {plan.question}"))
    numbers = ("epochs", "parameters", "memory", "time per run", "finished", "to do")
    table = plain_table("configuration", *numbers, right=numbers)
    for item in plan.configurations:
        table.add_row(
            item.name,
            str(item.epochs),
            f"{item.parameters:,}",
            "" if item.memory is None else size_text(item.memory),
            "" if item.seconds is None else duration(item.seconds),
            str(item.finished),
            str(item.missing),
        )
    console.print(table)
    took = "" if plan.seconds is None else f", about {duration(plan.seconds)} one after another"
    disk = "" if plan.disk is None else f", {size_text(plan.disk)} of disk space"
    console.print(f"{counted(plan.missing, 'run')} to do{took}{disk}; {are_there(plan.finished)}")
    for shortage in plan.shortages:
        console.print(shortage, style="yellow")
    show_detectable(console, plan.seeds, plan.detectable, plan.noise.configurations)
