"""Charts show every value where it belongs."""

import re
from itertools import pairwise

import pytest

from genrekit.metrics.calibration import Calibration, CalibrationBin
from genrekit.metrics.intervals import Interval
from genrekit.reports.charts import Curve, line_chart, reliability_chart, whisker


def points(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())]
        for line in re.findall(r'points="([^"]+)"', svg)
    ]


def labels(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_curve_falls_where_its_values_fall() -> None:
    svg = line_chart("loss", [1, 2, 3, 4], [Curve("training", "first", [4, 3, 2, 1])], best_epoch=4)
    (line,) = points(svg)
    across, down = [x for x, _ in line], [y for _, y in line]
    assert across == sorted(across)
    assert down == sorted(down)  # SVG's y grows downwards
    steps = [second - first for first, second in pairwise(down)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(2.3, "0 0.5 1 1.5 2 2.5"), (1.0, "0 0.2 0.4 0.6 0.8 1")],
)
def test_the_scale_has_round_marks_from_0_to_above_all_values(highest: float, expected: str) -> None:
    svg = line_chart("loss", [1, 2], [Curve("training", "first", [highest, 0.1])], best_epoch=1)
    assert labels(svg)[:6] == expected.split()


@pytest.mark.parametrize("epochs", [1, 2, 7, 50, 1_000])
def test_some_epochs_are_named_the_first_and_the_last_among_them(epochs: int) -> None:
    numbers = list(range(1, epochs + 1))
    svg = line_chart("loss", numbers, [Curve("training", "first", [1.0] * epochs)], best_epoch=1, top=1.0)
    named = labels(svg)[6:-1]
    assert (named[0], named[-1]) == ("1", str(epochs))
    assert len(named) == len(set(named)) <= 6


def test_a_single_epoch_is_a_dot_that_can_be_seen() -> None:
    svg = line_chart("loss", [1], [Curve("training", "first", [1.0])], best_epoch=1)
    assert 'class="dot first"' in svg


def test_values_of_0_alone_have_a_scale() -> None:
    svg = line_chart("loss", [1, 2], [Curve("training", "first", [0.0, 0.0])], best_epoch=1)
    assert labels(svg)[:2] == ["0", "1"]


def test_a_reliability_chart_has_a_bar_and_a_dot_for_each_bin() -> None:
    bins = (CalibrationBin(0.4, 0.6, 3, 0.5, 0.25), CalibrationBin(0.8, 1.0, 5, 0.9, 1.0))
    svg = reliability_chart("diagram", Calibration(Interval(0.1, 0, 0.2), 0.05, bins))
    heights = [float(height) for height in re.findall(r'class="bar"[^>]*height="([^"]+)"', svg)]
    assert heights[0] / heights[1] == pytest.approx(0.25, abs=0.01)
    assert svg.count('class="dot second"') == 2


def test_a_whisker_reaches_from_low_to_high() -> None:
    low, high = re.findall(r'd="M([\d.]+) 8H([\d.]+)"', whisker(Interval(0.5, 0.25, 0.75)))[0]
    (middle,) = re.findall(r'cx="([\d.]+)"', whisker(Interval(0.5, 0.25, 0.75)))
    assert float(low) < float(middle) < float(high)
    assert float(middle) == pytest.approx((float(low) + float(high)) / 2, abs=0.1)
