"""What the terminal shows of studies: the list, a plan, and the results."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.markup import escape

from genrekit.cli.display import are_there, duration, emit_json, plain_table, stdout
from genrekit.cli.search_display import show_detectable, show_trials
from genrekit.errors import counted, few, is_or_are
from genrekit.io.files import size_text
from genrekit.metrics.intervals import Interval
from genrekit.studies.costs import StudyList, StudyPlan
from genrekit.studies.evidence import Finding
from genrekit.studies.results import StudyResult
from genrekit.studies.text import NONE, accuracy_at, effect, has_few_seeds, none_trained, p_value


def print_study(result: StudyResult, *, as_json: bool) -> None:
    """Print the result of a study or a search; the exit code is 1 if a run failed."""
    emit_json(result) if as_json else show_study(result)
    if result.skipped:
        raise typer.Exit(1)


def show_study(result: StudyResult) -> None:
    """Print the ranking of a study and the verdicts on its hypotheses."""
    console, head = stdout(), result.head
    assert head is not None
    console.print(f"[bold]{escape(head.title)}[/bold]: {escape(head.question)}")
    if result.search is not None:
        show_trials(console, result.search)
    loss = "loss (last)" if head.at == "equal steps" else "loss"
    overfitting = "overfitting" if head.at == "last" else "overfitting (last)"
    table = plain_table(
        *("", "arm", "seeds", f"tracks ({head.at})", loss, overfitting, "remarks"),
        right=("", "seeds", loss, overfitting),
    )
    by_name = {run.name: run for run in result.runs}
    ties = result.ties if len(result.ties) > 1 and not none_trained(result) else ()
    for place, name in enumerate(result.ranking, 1):
        run = by_name[name]
        figure = Interval(run.loss, run.loss, run.loss) if head.at == "best" else run.last_loss
        table.add_row(
            f"{'=' if name in ties else ' '}{place}" if run.comparable else "-",
            escape(name),
            str(len(run.seeds)),
            _percent(accuracy_at(run, head.at)),
            "" if figure is None else f"{figure.value:.3f}",
            _points(run.overfitting),
            ", ".join(([] if run.trained else ["not trained"]) + ([run.cut] if run.cut else [])),
        )
    console.print(table)
    tracks = f"{escape(head.split)}, {head.validation_tracks} tracks"
    hidden = len(set(ties) - set(result.ranking))
    beside = f", nor can {hidden} more that {is_or_are(hidden)} not shown" if hidden else ""
    marks = [f"= cannot be told from the first{beside}"] if ties else []
    if none_trained(result):
        marks = ["no arm is above chance"]
    elif has_few_seeds(by_name[result.ranking[0]]):
        marks = ["fewer than three seeds tell no arms apart"]
    marks += [] if all(run.comparable for run in result.runs) else ["- partly on other tracks: not ranked"]
    console.print("; ".join([f"validation, {tracks}", *marks]), style="dim")
    if result.absent:
        console.print(f"no whole seed is there of {escape(few(result.absent))}", style="dim")
    _show_findings(console, result.findings)
    console.print(f"report {escape(str(result.report))}")


def _show_findings(console: Console, findings: tuple[Finding, ...]) -> None:
    if not findings:
        return
    table = plain_table("claim", "verdict", "effect", "p", right=("p",))
    for finding in findings:
        note = f" ({escape(finding.note)})" if finding.note else ""
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]{note}"
        table.add_row(escape(finding.claim), verdict, _ascii(effect(finding)), _ascii(p_value(finding.p)))
    console.print(table)


_COLOURS = {
    "upheld": "green",
    "refuted": "red",
    "equivalent": "cyan",
    "undecided": "yellow",
    "not trained": "dim",
    "not tested": "dim",
}


def _ascii(cell: str) -> str:
    """A report's cell as a terminal shows it, whatever it can show."""
    return "" if cell == NONE else cell.replace("\N{MINUS SIGN}", "-")


def _percent(figure: Interval | None) -> str:
    if figure is None:
        return ""
    return f"{100 * figure.value:.1f} ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def _points(figure: Interval | None) -> str:
    return "" if figure is None else f"{round(100 * figure.value, 1) + 0.0:.1f}"


def show_list(listed: StudyList, cache: str) -> None:
    """Print the question and the cost of each study, or why the cache does not allow it."""
    console = stdout()
    for study in listed.studies:
        console.print(f"[bold]{study.study}[/bold]  {escape(study.question)}")
        console.print(f"  {_plan_line(study)}", style="dim")
        if study.obstacle:
            console.print(f"  not with {escape(cache)}: {escape(study.obstacle)}", style="yellow")
    console.print(
        "\nrun one: genrekit study run NAME; see its plan first: genrekit study run NAME --dry-run", style="dim"
    )


def _plan_line(plan: StudyPlan) -> str:
    parameters = sorted({arm.parameters for arm in plan.arms})
    memory = [arm.memory for arm in plan.arms if arm.memory is not None]
    parts = [
        f"{counted(len(plan.arms), 'arm')} x {counted(plan.seeds, 'seed')}"
        + (f" x {counted(plan.folds, 'fold')}" if plan.folds else ""),
        " to ".join(f"{number:,}" for number in dict.fromkeys((parameters[0], parameters[-1]))) + " weights",
        *([f"up to {size_text(max(memory))} of memory"] if memory else []),
        f"{counted(plan.missing, 'run')} to do" + ("" if plan.seconds is None else f", about {duration(plan.seconds)}"),
    ]
    return "; ".join(parts)


def show_plan(plan: StudyPlan) -> None:
    """Print what a study would do."""
    console = stdout()
    console.print(f"[bold]{escape(plan.title)}[/bold]: {escape(plan.question)}")
    numbers = ("epochs", "weights", "memory", "a run", "there", "to do")
    table = plain_table("arm", *numbers, right=numbers)
    for arm in plan.arms:
        table.add_row(
            escape(arm.name),
            str(arm.epochs),
            f"{arm.parameters:,}",
            "" if arm.memory is None else size_text(arm.memory),
            "" if arm.seconds is None else duration(arm.seconds),
            str(arm.finished),
            str(arm.missing),
        )
    console.print(table)
    took = "" if plan.seconds is None else f", about {duration(plan.seconds)} one after another"
    disk = "" if plan.disk is None else f", {size_text(plan.disk)} of disk"
    console.print(f"{counted(plan.missing, 'run')} to do{took}{disk}; {are_there(plan.finished)}")
    for shortage in plan.shortages:
        console.print(escape(shortage), style="yellow")
    show_detectable(console, plan.seeds, plan.detectable, plan.noise.arms)
