"""The report of a study: what it asks, what it found and how, as Markdown and as one page of HTML."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from genrekit.errors import counted
from genrekit.io import markdown
from genrekit.io.files import write_json, write_text
from genrekit.io.json_values import json_value, to_json
from genrekit.metrics.epochs import Epoch
from genrekit.reports import page
from genrekit.reports.page_tables import Cell, Column, Row, Table
from genrekit.reports.plots import Figure, save_png
from genrekit.reports.svg import to_svg
from genrekit.studies import search_text as of_search
from genrekit.studies import text as words
from genrekit.studies.plots import accuracy_bars, curves, overview
from genrekit.studies.results import StudyHead, StudyResult
from genrekit.studies.search_plots import search_figures
from genrekit.studies.verdicts import Verdict

CAPTIONS = {
    "accuracy": "Share of validation tracks that each arm calls right, with 95 % intervals, beside chance. The best "
    "epoch is chosen on the same tracks, so its figure is optimistic; where their loss chooses it, the last epoch may "
    "be more accurate.",
    "figures": "Track accuracy, loss and overfitting at the last epoch, with 95 % intervals. Overfitting is accuracy "
    "on the training part minus that on the validation part.",
    "curves": "Learning curves: means over runs as far as all of them go, and each run as a thin line. With folds "
    "each of a seed is a run. Training losses are those measured while training.",
    **of_search.CAPTIONS,
}
"""What the pictures show, in the order in which they come."""

_EXPERIMENTS, _ASIDE = "experiments", ".report-"

_BESIDE = (
    "Beside this report, result.json has all figures, and experiments/ the hyperparameters and figures of each run."
)

_METHODS = (
    "A track is called by the mean probability over its fragments. Accuracy is the share of tracks that are called "
    "right, and loss the mean cross-entropy per fragment in nats, without penalties.",
    "Figures of an arm are means over its seeds. Intervals are of 95 % and stand for other seeds and other tracks, "
    "with {resampled} as the units that vary (Cameron, Gelbach and Miller 2011; Bouthillier et al. 2021).",
    "A claim says that one difference, or each of several, is above zero (Berger 1982); its effect is the one that is "
    "least sure. A p counts every difference of its claim where one is below zero, and is corrected for the number of "
    "claims, those that are not tested included (Holm 1979), each place of reading apart; intervals are not, so one "
    "may leave out zero where p is above 0.05. Arms that answered partly other tracks are compared on those of both "
    "where these are half of them, else as independent.",
    "The best epoch of a run is chosen on the tracks that it is judged by, which favours it (Cawley and Talbot 2010): "
    "the last epoch is what counts unless the study declares another place. Equal steps compares arms after as many "
    "steps of the optimizer.",
    "Arms cannot be told from the first where they are in one model confidence set with it (Hansen, Lunde and Nason "
    "2011). It is made of trained arms with three seeds or more, on the same tracks.",
    "An arm is not trained where its accuracy is not above chance, the share of the genre that most of its validation "
    "tracks have. Overfitting is accuracy on the training part minus "
    "that on the validation part, both on unaltered tracks in evaluation mode. A channel is dead that no validation "
    "fragment activates. The test part is not read.",
)

_OF_THE_WINNER = (
    "The winner is the first arm where the claim is read. A claim about its configuration is upheld where it holds of "
    "all arms that cannot be told from it, refuted where it holds of none, and else undecided; one about its accuracy "
    "is upheld where the interval contains what is claimed. These have no p."
)

_CITATIONS = (
    "Berger, R. L. (1982). Multiparameter hypothesis testing and acceptance sampling. Technometrics 24(4), 295-300.",
    "Bouthillier, X., et al. (2021). Accounting for variance in machine learning benchmarks. Proceedings of Machine "
    "Learning and Systems 3, 747-769.",
    "Cameron, A. C., Gelbach, J. B. and Miller, D. L. (2011). Robust inference with multiway clustering. Journal of "
    "Business & Economic Statistics 29(2), 238-249.",
    "Cawley, G. C. and Talbot, N. L. C. (2010). On over-fitting in model selection and subsequent selection bias in "
    "performance evaluation. Journal of Machine Learning Research 11, 2079-2107.",
    "Hansen, P. R., Lunde, A. and Nason, J. M. (2011). The model confidence set. Econometrica 79(2), 453-497.",
    "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics "
    "6(2), 65-70.",
)


def write_report(
    result: StudyResult,
    histories: Mapping[str, Sequence[Sequence[Epoch]]],
    configs: Mapping[str, Mapping[str, Any]],
    folder: Path,
) -> None:
    """Write the report of a study into a folder; all of its files are written before one takes the place of another.

    The files are report.md, report.html (which holds the pictures), accuracy.png, figures.png, curves.png and of a
    search trials.png, importances.png and slices.png, result.json, and for each entry of `configs` (an experiment's
    name: its hyperparameters and figures) experiments/NAME.json. `histories` has the epochs of each arm's seeds; where
    none has more than one there are no curves. What an earlier report left there and this one does not have is removed.
    Errors: OSError where a file cannot be written.
    """
    place = "last" if any(run.last_accuracy is not None for run in result.runs) else "best"
    figures = {"accuracy": accuracy_bars(result, place)}
    if place == "last":
        figures["figures"] = overview(result)
    if any(len(seed) > 1 for seeds in histories.values() for seed in seeds):
        figures["curves"] = curves(histories, {run.name: run.group for run in result.runs})
    if result.search is not None:
        figures |= search_figures(result.search)
    files = {name: f"{name}.png" for name in figures}
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)  # of a report that was killed while it was written
    with TemporaryDirectory(prefix=_ASIDE, dir=folder) as named:
        aside = Path(named)
        for name, picture in figures.items():
            save_png(picture, aside / files[name])
        for name, file in safe_names(configs).items():
            write_json(aside / _EXPERIMENTS / f"{file}.json", json_value(configs[name]))
        write_text(aside / "report.md", to_markdown(result, figures=files))
        write_text(aside / "report.html", to_html(result, figures))
        write_json(aside / "result.json", to_json(result))
        _replace(folder, aside)


def _replace(folder: Path, aside: Path) -> None:
    """Put the files of a new report, which are all there, in the place of those of the one before."""
    written = {path.relative_to(aside) for path in aside.rglob("*") if path.is_file()}
    (folder / _EXPERIMENTS).mkdir(exist_ok=True)
    for path in sorted(written, key=lambda path: (path.name == "result.json", path)):
        os.replace(aside / path, folder / path)
    before = {*(folder / _EXPERIMENTS).glob("*.json"), *(folder / f"{name}.png" for name in CAPTIONS)}
    for path in before - {folder / path for path in written}:
        path.unlink(missing_ok=True)


def to_markdown(result: StudyResult, *, figures: Mapping[str, str]) -> str:
    """The report as Markdown; `figures` names the file of each picture in `CAPTIONS`, relative to the report."""
    head = _head(result)
    plain = markdown.plain

    def picture(name: str) -> str:
        if name not in figures:
            return ""
        return f"![{plain(_alt(result, name))}](<{figures[name]}>)\n\n*{plain(CAPTIONS[name])}*\n"

    parts = [
        f"# {plain(head.title)}\n",
        f"{plain(head.question)}\n",
        _bullets(f"**{name}:** {plain(value)}" for name, value in _facts(result)),
        f"## What was found\n\n{plain(words.in_short(result))}\n",
        _markdown_table(words.findings(result)),
        _bullets(f"{words.verdict(word)}: {words.VERDICTS[word].meaning}" for word in _met(result)),
        picture("accuracy"),
        f"## Arms\n\n{_markdown_table(words.arms(result))}",
        picture("figures"),
        _under("## What differs between the arms", _markdown_table(words.settings(result))),
        _under("## Ranking", _markdown_table(words.ranking(result))),
        _under("## Learning curves", picture("curves")),
        _under("## Search", _markdown_search(result, picture)),
        _under("## Left out", _bullets(f"{plain(item.path)}: {plain(item.reason)}" for item in result.skipped)),
        f"## To repeat this\n\n{markdown.code(head.command)}\n{plain(_BESIDE)}\n",
        "## Methods\n\n" + "\n\n".join(map(plain, _methods(result))) + "\n",
        f"### References\n\n{_bullets(map(plain, _citations(result)))}",
    ]
    return "\n".join(filter(None, parts))


def to_html(result: StudyResult, figures: Mapping[str, Figure]) -> str:
    """Render the report as one HTML page; the keys of `figures` are names in `CAPTIONS`."""
    head, search = _head(result), result.search
    settings = words.settings(result)
    sections = {
        "found": "What was found",
        "arms": "Arms",
        "settings": "What differs between the arms" if settings.rows else "",
        "ranking": "Ranking",
        "curves": "Learning curves" if "curves" in figures else "",
        "search": "Search" if search is not None else "",
        "left-out": "Left out" if result.skipped else "",
        "repeat": "To repeat this",
        "methods": "Methods",
    }
    searched: dict[str, Any] = {}
    if search is not None:
        searched = {
            "paragraphs": of_search.paragraphs(search),
            "space": _table(of_search.space(search), "What was searched"),
            "figures": tuple(of_search.CAPTIONS),
            "trials": _table(of_search.trials(search), "Trials, the best first"),
        }
    return page.render(
        "study.html",
        package="genrekit.studies",
        style=page.asset("report.css", "genrekit.studies"),
        title=head.title,
        head=head,
        facts=_facts(result),
        sections={anchor: title for anchor, title in sections.items() if title},
        in_short=words.in_short(result),
        findings=_findings_table(result),
        verdicts={words.verdict(word): words.VERDICTS[word] for word in _met(result)},
        arms=_table(words.arms(result), "Arms, the best first"),
        settings=_table(settings, "Settings that are not the same in all arms"),
        tied=words.tied(result),
        ranking=_table(words.ranking(result), "Places, with 95 % intervals"),
        search=searched,
        skipped=result.skipped,
        beside=_BESIDE,
        methods=_methods(result),
        citations=_citations(result),
        figures={
            name: {"svg": to_svg(figure, f"figure-{name}", _alt(result, name)), "caption": CAPTIONS[name]}
            for name, figure in figures.items()
        },
    )


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each name: no separators, no spaces, and no two that differ only in case.

    >>> safe_names(["cel3, sgd-seed0", "../Cel3 sgd/seed0", "cel3 sgd seed0"])
    {'cel3, sgd-seed0': 'cel3-sgd-seed0', '../Cel3 sgd/seed0': 'Cel3-sgd-seed0-2', 'cel3 sgd seed0': 'cel3-sgd-seed0-3'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = _short(re.sub(r"[^\w.+]+", "-", name).strip("-.")) or "experiment"
        file, number = stem, 1
        while file.casefold() in taken:
            number += 1
            file = f"{stem}-{number}"
        taken.add(file.casefold())
        found[name] = file
    return found


def _short(stem: str) -> str:
    """A name that every file system takes: of a long one the begin, and the end, which holds the seed."""
    return stem if len(stem.encode()) <= 200 else f"{stem.encode()[:150].decode(errors='ignore')}-{stem[-10:]}"


def _head(result: StudyResult) -> StudyHead:
    assert result.head is not None, "a report is of a study"
    return result.head


def _facts(result: StudyResult) -> list[tuple[str, str]]:
    head = _head(result)
    return [
        ("Study", head.name),
        ("Source", head.source or words.NONE),
        ("Data", f"{_to_train(head)} to train, {head.validation_tracks:,} to validate; split {head.split}"),
        ("Genres", f"{len(head.genres)}: {', '.join(head.genres)}"),
        ("Declared", f"{counted(head.declared_seeds, 'seed')}, {counted(head.declared_epochs, 'epoch')}"),
        ("Intervals", f"95 %, over seeds and {head.resampled}{_of_one_seed(result)}"),
        *(("Note", note) for note in head.notes),
        *((("Note", of_search.NOTE),) if result.search is not None else ()),
    ]


def _to_train(head: StudyHead) -> str:
    """How many tracks, or from how many to how many, as splits and folds have them."""
    least, most = head.training_tracks, head.most_training_tracks
    return f"{least:,} to {most:,} tracks" if most > least else f"{least:,} tracks"


def _of_one_seed(result: StudyResult) -> str:
    """What the interval of an arm with one seed leaves out, where there is such an arm."""
    one = any(len(run.seeds) == 1 for run in result.runs)
    return f"; of an arm with one seed over {_head(result).resampled} alone" if one else ""


def _citations(result: StudyResult) -> list[str]:
    return sorted([*_CITATIONS, *(of_search.CITATIONS if result.search is not None else ())])


def _methods(result: StudyResult) -> list[str]:
    head = _head(result)
    texts = [text.replace("{resampled}", head.resampled) for text in _METHODS]
    return [*texts, _OF_THE_WINNER] if any(finding.statistic == "winner" for finding in result.findings) else texts


def _alt(result: StudyResult, name: str) -> str:
    """What a picture says to those who do not see it; the figures themselves are in the tables."""
    kinds = {
        "accuracy": "Bars of track accuracy",
        "figures": "Accuracy, loss and overfitting",
        "curves": "Learning curves",
    }
    if result.search is not None and name in of_search.CAPTIONS:
        return of_search.alt(result.search, name)
    arms = counted(len(result.runs), "arm")
    return f"{kinds[name]} of {arms}. {words.tied(result)}" if name == "accuracy" else f"{kinds[name]} of {arms}."


def _findings_table(result: StudyResult) -> Table:
    cells = words.findings(result)
    rows: list[Row] = [
        (
            row[0],
            Cell(row[1], kind=f"verdict {words.VERDICTS[finding.verdict].colours}"),
            *row[2:4],
            "\n".join(map(words.reading, words.others(finding))) or words.NONE,
            *row[5:],
        )
        for row, finding in zip(cells.rows, result.findings, strict=True)
    ]
    return Table("Claims and what became of them", _columns(cells), rows)


def _met(result: StudyResult) -> list[Verdict]:
    """The verdicts that there are, each once."""
    return [word for word in words.VERDICTS if any(finding.verdict == word for finding in result.findings)]


def _table(cells: words.Cells, caption: str) -> Table:
    rows: list[Row] = [
        [_with_note(cell) if column in cells.numeric else cell for column, cell in enumerate(row)] for row in cells.rows
    ]
    return Table(caption, _columns(cells), rows)


def _columns(cells: words.Cells) -> list[Column]:
    return [Column(name, number=place in cells.numeric, sortable=False) for place, name in enumerate(cells.head)]


def _with_note(figure: str) -> Cell:
    """Split a figure and its interval, which the page shows below it."""
    value, bracket, span = figure.partition(" (")
    return Cell(value, note=f"({span}" if bracket else "")


def _markdown_search(result: StudyResult, picture: Callable[[str], str]) -> str:
    if result.search is None:
        return ""
    parts = [f"{markdown.plain(text)}\n" for text in of_search.paragraphs(result.search)]
    parts += [_markdown_table(of_search.space(result.search)), *map(picture, of_search.CAPTIONS)]
    return "\n".join(filter(None, [*parts, _markdown_table(of_search.trials(result.search))]))


def _markdown_table(cells: words.Cells) -> str:
    return markdown.table(cells.head, cells.rows, numeric=cells.numeric) if cells.rows else ""


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _under(heading: str, content: str) -> str:
    return f"{heading}\n\n{content}" if content else ""
