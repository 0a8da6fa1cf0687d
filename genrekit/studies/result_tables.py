"""The tables of a study's report, as cells of plain text."""

from __future__ import annotations

from collections.abc import Callable

from genrekit.config import flat_options
from genrekit.errors import counted
from genrekit.studies.formatting import NONE, duration, nats, p_value, percent, points, seeds, setting
from genrekit.studies.ranking_text import accuracy_at, has_few_seeds, in_order
from genrekit.studies.result_cells import Cells
from genrekit.studies.results import StudyResult
from genrekit.studies.verdict_text import effect_of_statistic, judgement_line, other_judgements, verdict
from genrekit.workflows.compare import RankedRun


def findings_table(result: StudyResult) -> Cells:
    """Return the hypotheses with their verdicts, one per row."""
    return Cells(
        ("hypothesis", "verdict", "effect (95 % interval)", "p", "at other epochs", "note"),
        tuple(
            (
                finding.hypothesis,
                verdict(finding),
                effect_of_statistic(finding),
                p_value(finding.p),
                "; ".join(map(judgement_line, other_judgements(finding))) or NONE,
                finding.note or NONE,
            )
            for finding in result.findings
        ),
    )


def remarks(run: RankedRun) -> str:
    """Return the remarks that limit comparisons with a configuration, such as missing seeds."""
    later = f"seed{'s' if len(run.later_seeds) > 1 else ''} {seeds(run.later_seeds)} added after the plan"
    notes = [
        "" if run.trained else "not trained (not above chance)",
        f"reduced: {run.cut}" if run.cut else "",
        "uses a network trained on outside data" if run.uses_outside_data else "",
        later if run.later_seeds else "",
    ]
    return "; ".join(filter(None, notes))


_COLUMNS: tuple[tuple[str, Callable[[RankedRun], str]], ...] = (
    ("group", lambda run: run.group or NONE),
    ("remarks", remarks),
    ("seeds", lambda run: seeds(run.seeds)),
    ("epochs", lambda run: str(run.epochs) if run.epochs else NONE),
    ("parameters", lambda run: f"{run.parameters:,}"),
    ("accuracy, last epoch", lambda run: percent(run.last_accuracy)),
    ("accuracy, best epoch (optimistic)", lambda run: percent(run.track_accuracy)),
    ("accuracy, equal steps", lambda run: percent(run.equal_steps_accuracy)),
    ("loss, last epoch", lambda run: nats(run.last_loss)),
    ("training accuracy", lambda run: percent(run.training_accuracy)),
    ("overfitting in points", lambda run: points(run.overfitting)),
    ("dead channels", lambda run: percent(run.dead_channels)),
    ("time", lambda run: duration(run.seconds) if run.seconds else NONE),
)
_TEXT_COLUMNS = frozenset({"group", "seeds", "remarks"})


def configurations_table(result: StudyResult) -> Cells:
    """Return the configurations with their figures, one per row; columns without any figure are left out."""
    runs = in_order(result)
    columns = [(name, [cell(run) for run in runs]) for name, cell in _COLUMNS]
    kept = [(name, cells) for name, cells in columns if any(cell not in ("", NONE) for cell in cells)]
    return Cells(
        ("configuration", *(name for name, _ in kept)),
        tuple((run.name, *(cells[row] for _, cells in kept)) for row, run in enumerate(runs)),
        frozenset(index for index, (name, _) in enumerate(kept, 1) if name not in _TEXT_COLUMNS),
    )


def settings_table(result: StudyResult) -> Cells:
    """Return the settings that differ between configurations, besides the seed."""
    runs = in_order(result)
    configs = [flat_options(run.config) for run in runs]
    keys = list(dict.fromkeys(key for config in configs for key in config if key != "seed"))
    differing = [key for key in keys if len({repr(config.get(key)) for config in configs}) > 1]
    rows = tuple(
        (run.name, *(setting(config.get(key)) for key in differing)) for run, config in zip(runs, configs, strict=True)
    )
    return Cells(("configuration", *differing), rows if differing else ())


def ranking_table(result: StudyResult) -> Cells:
    """Return the ranking, with each configuration's comparison to the first one."""
    runs = {run.name: run for run in result.runs}
    rows = []
    for rank, name in enumerate(result.ranking, 1):
        run = runs.get(name)
        accuracy = None if run is None else accuracy_at(run, "last" if result.head is None else result.head.at)
        compared = NONE if accuracy is None else _compared_with_first(result, name)
        rows.append((str(rank), name, percent(accuracy), compared))
    return Cells(("rank", "configuration", "accuracy", "compared with the first"), tuple(rows), frozenset({0, 2}))


def _compared_with_first(result: StudyResult, name: str) -> str:
    runs = {run.name: run for run in result.runs}
    run, first = runs[name], runs[result.ranking[0]]
    if not run.trained:
        return "not above chance"
    if run is not first and not run.comparable:
        return "not compared: other validation tracks"
    if untested := [item for item in (run, first) if has_few_seeds(item)]:
        return f"not tested: {counted(len(untested[0].seeds), 'seed')}"
    if run is first:
        return "first"
    return "tied" if name in result.ties else "worse"
