"""Architectures are registered, looked up and refused by name."""

import pytest

from genrekit.config import (
    Architecture,
    TrainConfig,
    architecture,
    architecture_names,
    architectures,
    register_architecture,
)
from genrekit.errors import UsageError


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "_REGISTERED", dict(architectures._REGISTERED))


def test_a_registered_architecture_is_a_choice_everywhere() -> None:
    register_architecture(Architecture("my-net", "my_package:build", inputs=("mel",)))
    assert architecture_names()[-1] == "my-net"
    assert TrainConfig.of({"arch": "my-net"}).architecture.outside_module == "my_package"
    assert "my-net" in TrainConfig.model_json_schema()["properties"]["arch"]["enum"]
    with pytest.raises(UsageError, match=r"unknown arch 'my-nett': did you mean my-net\?.*forest, my-net\)"):
        TrainConfig.of({"arch": "my-nett"})


def test_an_option_that_an_architecture_does_not_use_is_refused() -> None:
    register_architecture(Architecture("my-net", "my_package:build", inputs=("mel",)))
    config = TrainConfig.of({"arch": "my-net"})
    assert (config.hidden, config.channels, config.stem) == ((), (), "my-net-mel-adam-onecycle")
    for values, message in (
        ({"hidden": (8,)}, r"hidden must be none for my-net, which does not use it, got \(8,\)"),
        ({"channels": (8,)}, r"channels must be none for my-net, .* got \(8,\)"),
        ({"input": "waveform"}, "input must be mel for my-net, got waveform"),
    ):
        with pytest.raises(UsageError, match=message):
            TrainConfig.of({"arch": "my-net", **values})


def test_defaults_and_the_check_of_an_architecture_are_used() -> None:
    def check(config: TrainConfig) -> None:
        if config.batch_size > 64:
            raise ValueError(f"batch_size must be at most 64 for my-net, got {config.batch_size}")

    channels = {"mel": (3,), "waveform": (4, 5), "stft": (6,)}
    register_architecture(Architecture("my-net", "my_package:build", hidden=(7,), channels=channels, check=check))
    config = TrainConfig.of({"arch": "my-net", "input": "waveform"})
    assert (config.hidden, config.channels) == ((7,), (4, 5))
    with pytest.raises(UsageError, match="batch_size must be at most 64 for my-net, got 65"):
        TrainConfig.of({"arch": "my-net", "batch_size": 65})


def test_a_name_can_be_registered_again_unless_it_is_built_in() -> None:
    register_architecture(Architecture("my-net", "first:build"))
    register_architecture(Architecture("my-net", "second:build"))
    assert architecture("my-net").outside_module == "second"
    with pytest.raises(ValueError, match="cel comes with genrekit"):
        register_architecture(Architecture("cel", "my_package:build"))
    assert architecture("cel").outside_module is None


@pytest.mark.parametrize("name", ["", "my net", "../net", "1"])
def test_a_name_that_cannot_be_typed_or_stored_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name of an architecture must be"):
        register_architecture(Architecture(name, "my_package:build"))


def test_an_unknown_input_is_refused() -> None:
    with pytest.raises(ValueError, match="inputs must be some of mel, waveform, stft"):
        register_architecture(Architecture("my-net", "my_package:build", inputs=("midi",)))  # type: ignore[arg-type]


def test_an_unknown_architecture_is_refused_with_the_registered_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown architecture 'cell3': did you mean cel3.*choices: mlp, "):
        architecture("cell3")
