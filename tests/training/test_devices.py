import pytest
import torch

from genrekit.errors import GenrekitError, UsageError
from genrekit.training.devices import choose_device


@pytest.fixture
def _machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has the accelerators which the test names."""
    there = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize(
    ("_machine", "expected"),
    [
        pytest.param({"cuda", "mps"}, "cuda", id="cuda"),
        pytest.param({"mps"}, "mps", id="mps"),
        pytest.param(set(), "cpu", id="neither"),
    ],
    indirect=["_machine"],
)
def test_auto_is_the_fastest_device_there_is(expected: str) -> None:
    assert choose_device("auto") == torch.device(expected)


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize("_machine", [{"cuda", "mps"}], indirect=True)
@pytest.mark.parametrize("name", ["cpu", "cuda", "mps"])
def test_a_device_that_is_named_is_taken(name: str) -> None:
    assert choose_device(name) == torch.device(name)


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize("_machine", [set()], indirect=True)
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(GenrekitError, match=f"no {name} device here: choose cpu or auto"):
        choose_device(name)


def test_an_unknown_device_is_refused_with_its_close_match() -> None:
    with pytest.raises(UsageError, match="unknown device 'cude': did you mean cuda"):
        choose_device("cude")
