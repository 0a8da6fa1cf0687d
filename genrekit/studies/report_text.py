"""The fixed text of a study's report: captions, methods and references, and the facts at its top."""

from __future__ import annotations

from genrekit.errors import counted
from genrekit.studies import search_text
from genrekit.studies.formatting import NONE
from genrekit.studies.ranking_text import leader
from genrekit.studies.results import StudyHead, StudyResult
from genrekit.studies.verdict_text import SHORTENED, VERDICTS, is_shortened, symbol
from genrekit.studies.verdicts import Verdict

CAPTIONS = {
    "accuracy": "Share of validation tracks that each configuration classifies correctly, with 95 % intervals and "
    "chance. The best epoch is selected on the same tracks, so its accuracy is optimistic. If it is selected by the "
    "loss, the last epoch may be more accurate.",
    "figures": "Track accuracy, loss and overfitting at the last epoch, with 95 % intervals. Overfitting is the "
    "accuracy on the training set minus that on the validation set.",
    "curves": "Learning curves: means over runs up to the end of the shortest run, and each run as a thin line. Each "
    "fold of a seed is a run. Training losses are measured during training.",
    "confusion": "Confusion matrices of the best configurations after the last epoch, pooled over their runs: each row "
    "is a true genre, each column a predicted one, and each number a count of validation tracks.",
    **search_text.CAPTIONS,
}
"""What the pictures show, in the order of the report."""

FILES_NOTE = (
    "In the folder of this report, result.json has all figures, and experiments/ has the settings and figures of each "
    "run."
)

_METHODS = (
    "The prediction for a track is the mean probability over its fragments. Accuracy is the share of tracks that are "
    "classified correctly. Loss is the mean cross-entropy per fragment in nats, without penalties.",
    "The figures of a configuration are means over its seeds. The 95 % intervals cover other seeds and other tracks, "
    "with {resampled} as the units that vary (Cameron, Gelbach and Miller 2011; Bouthillier et al. 2021).",
    "A hypothesis says that one difference is above zero, or that each of several is (Berger 1982). Its effect is the "
    "least certain difference. If one difference is below zero, p is multiplied by the number of differences. All p "
    "values are corrected for the number of hypotheses, including those that are not tested (Holm 1979), separately "
    "for each choice of the epoch. Intervals are not corrected, so an interval may exclude zero although p is above "
    "0.05. Configurations with partly different validation tracks are compared on the shared tracks if these are at "
    "least half of them, otherwise as independent samples.",
    "If runs are shorter than planned, the verdict names their epochs, and it holds for these epochs only. A mean over "
    "pairs, or a hypothesis about the winner, is tested if more than half of the pairs or configurations have runs; "
    "the note names the missing ones.",
    "The best epoch of a run is selected on the tracks that the run is evaluated on, which favours it (Cawley and "
    "Talbot 2010). Therefore the last epoch counts unless the study file sets another one. At equal steps, all "
    "configurations are compared after the same number of optimizer steps.",
    "Configurations are tied with the first one if they are in one model confidence set with it (Hansen, Lunde and "
    "Nason 2011). Only trained configurations with at least three seeds and the same validation tracks are compared.",
    "A configuration is not trained if its accuracy is not above chance, which is the share of the most frequent genre "
    "among its validation tracks. Overfitting is the accuracy on the training set minus that on the validation set, "
    "both on unaltered tracks in evaluation mode. A channel is dead if no validation fragment activates it. The test "
    "set is not read.",
)

_WINNER_METHOD = (
    "The winner is the first configuration of the ranking. A hypothesis about its settings is upheld if it is true of "
    "all configurations that are tied with it, refuted if it is true of none, and undecided otherwise. A hypothesis "
    "about its accuracy is upheld if the 95 % interval contains the stated accuracy. These hypotheses have no p."
)

_REFERENCES = (
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


def head_of(result: StudyResult) -> StudyHead:
    """Return the head of a study's result."""
    assert result.head is not None, "only a study has a report"
    return result.head


def facts(result: StudyResult) -> list[tuple[str, str]]:
    """Return the names and values of the facts at the top of a report."""
    head = head_of(result)
    return [
        ("Study", head.name),
        ("Source", head.source or NONE),
        ("Data", f"{_training_tracks(head)} to train, {head.validation_tracks:,} to validate; split {head.split}"),
        ("Genres", f"{len(head.genres)}: {', '.join(head.genres)}"),
        ("Planned", f"{counted(head.declared_seeds, 'seed')}, {counted(head.declared_epochs, 'epoch')}"),
        ("Intervals", f"95 %, over seeds and {head.resampled}{_single_seed_note(result)}"),
        *(("Note", note) for note in head.notes),
        *((("Note", search_text.NOTE),) if result.search is not None else ()),
    ]


def _training_tracks(head: StudyHead) -> str:
    least, most = head.training_tracks, head.most_training_tracks
    return f"{least:,} to {most:,} tracks" if most > least else f"{least:,} tracks"


def _single_seed_note(result: StudyResult) -> str:
    single = any(len(run.seeds) == 1 for run in result.runs)
    return f"; over {head_of(result).resampled} only if a configuration has one seed" if single else ""


def methods(result: StudyResult) -> list[str]:
    """Return the paragraphs about the methods that a report uses."""
    texts = [text.replace("{resampled}", head_of(result).resampled) for text in _METHODS]
    has_winner = any(finding.statistic == "winner" for finding in result.findings)
    return [*texts, _WINNER_METHOD] if has_winner else texts


def references(result: StudyResult) -> list[str]:
    """Return the references of the methods, in alphabetical order."""
    return sorted([*_REFERENCES, *(search_text.REFERENCES if result.search is not None else ())])


def verdicts_in(result: StudyResult) -> list[Verdict]:
    """Return the verdicts that occur, each once."""
    return [word for word in VERDICTS if any(finding.verdict == word for finding in result.findings)]


def legend(result: StudyResult) -> list[tuple[Verdict | None, str, str]]:
    """Return what the verdicts of a report mean: verdict, its text and its meaning; the last may be about epochs."""
    lines: list[tuple[Verdict | None, str, str]] = [
        (word, symbol(word), VERDICTS[word].meaning) for word in verdicts_in(result)
    ]
    if any(map(is_shortened, result.findings)):
        lines.append((None, *SHORTENED))
    return lines


def alt_text(result: StudyResult, picture: str) -> str:
    """Return the text for readers who do not see a picture; its figures are in the tables."""
    kinds = {
        "accuracy": "Bars of track accuracy",
        "figures": "Accuracy, loss and overfitting",
        "curves": "Learning curves",
        "confusion": "The best confusion matrices",
    }
    if result.search is not None and picture in search_text.CAPTIONS:
        return search_text.alt_text(result.search, picture)
    text = f"{kinds[picture]} of {counted(len(result.runs), 'configuration')}."
    return f"{text} {leader(result)}" if picture == "accuracy" else text
