import pytest
import torch
from torch import nn

from genrekit.errors import GenrekitError, UsageError
from genrekit.training.devices import choose_device, choose_precision, computing_in, move


@pytest.fixture
def _machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a machine with the accelerators that the test names."""
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
def test_auto_is_the_fastest_available_device(expected: str) -> None:
    assert choose_device("auto") == torch.device(expected)


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize("_machine", [{"cuda", "mps"}], indirect=True)
@pytest.mark.parametrize("name", ["cpu", "cuda", "mps"])
def test_a_named_device_is_used(name: str) -> None:
    assert choose_device(name) == torch.device(name)


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize("_machine", [set()], indirect=True)
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_unavailable_device_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(GenrekitError, match=f"no {name} device here: choose --device cpu or auto"):
        choose_device(name)


def test_an_unknown_device_is_refused_with_its_close_match() -> None:
    with pytest.raises(UsageError, match="unknown device 'cude': did you mean cuda"):
        choose_device("cude")


@pytest.mark.parametrize(
    ("name", "device", "native", "expected"),
    [
        pytest.param("auto", "cpu", True, "fp32", id="auto-cpu"),
        pytest.param("auto", "mps", True, "fp32", id="auto-mps"),
        pytest.param("auto", "cuda", True, "bf16", id="auto-cuda"),
        pytest.param("auto", "cuda", False, "fp32", id="auto-old-cuda"),
        pytest.param("bf16", "cpu", False, "bf16", id="bf16"),
        pytest.param("fp32", "cuda", True, "fp32", id="fp32"),
    ],
)
def test_auto_is_bf16_if_the_cuda_device_supports_it(
    name: str, device: str, native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: native)
    assert choose_precision(name, torch.device(device)) == expected


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_are_computed_in_the_precision_and_weights_stay_in_fp32(precision: str, dtype: torch.dtype) -> None:
    layer = nn.Linear(2, 2)
    with computing_in(precision, torch.device("cpu")):
        assert layer(torch.ones(1, 2)).dtype == dtype
    assert layer.weight.dtype == torch.float32


def test_a_batch_that_is_on_the_device_is_not_copied() -> None:
    batch = torch.ones(2)
    assert move(batch, torch.device("cpu")) is batch
