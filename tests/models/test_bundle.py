"""A bundle gives the same answers after a round trip and says what it is; what is none is refused without being run."""

import errno
import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from registered import CLASSICAL, NETWORKS
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from tiny_bundle import INTERVAL, describe, edit, lived_in
from tiny_training import FRONT_END, tiny_config, tiny_model
from torch import nn

from genrekit.config import FeatureConfig, Input, PrepareConfig, TrainConfig
from genrekit.errors import BundleError, UsageError
from genrekit.metrics.epochs import Epoch
from genrekit.models import build_model, bundle
from genrekit.models.bundle import find_bundles, load_bundle, read_metadata, save_bundle
from genrekit.models.bundle_metadata import BundleMetadata


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle of a small convolutional model."""
    config = tiny_config(arch="cel", hidden=(6,))
    save_bundle(tmp_path / "best", lived_in(config), describe(config))
    return tmp_path / "best"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(folder: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


class TestRoundTrip:
    @pytest.mark.parametrize("arch", NETWORKS)
    @pytest.mark.parametrize("kind", get_args(Input))
    def test_a_loaded_model_gives_the_same_logits(self, tmp_path: Path, arch: str, kind: Input) -> None:
        config = tiny_config(arch=arch, input=kind, dropout=0.5)
        model = lived_in(config)
        save_bundle(tmp_path / "best", model, describe(config))
        inputs = torch.rand(5, *FRONT_END.shape(kind), generator=torch.Generator().manual_seed(1))
        loaded = load_bundle(tmp_path / "best").model
        assert torch.equal(loaded(inputs), model(inputs))
        assert not loaded.training

    def test_what_it_says_comes_back(self, folder: Path) -> None:
        metadata = describe(tiny_config(arch="cel", hidden=(6,)))
        assert load_bundle(folder).metadata == read_metadata(folder) == metadata
        assert load_bundle(str(folder)).path == folder

    def test_saving_leaves_three_files_and_nothing_beside_them(self, folder: Path) -> None:
        assert names(folder) == ["README.md", "model.json", "model.safetensors"]

    def test_the_figures_of_its_epochs_come_back_and_may_be_absent(self, folder: Path) -> None:
        config = tiny_config(arch="cel", hidden=(6,))
        history = [Epoch(number, 0.1 / number, 2.0, 0.5, 1 / 3, 0.25, 0.75, 1.5) for number in (1, 2)]
        save_bundle(folder, lived_in(config), describe(config, history=history))
        assert read_metadata(folder).history == tuple(history)
        edit(folder, lambda values: values.pop("history"))
        assert read_metadata(folder).history == ()

        assert names(folder.parent) == ["best"]

    def test_a_bundle_takes_the_place_of_another(self, folder: Path) -> None:
        config = tiny_config(arch="mlp")
        save_bundle(folder, tiny_model(config), describe(config))
        assert load_bundle(folder).metadata.train.arch == "mlp"
        assert names(folder.parent) == ["best"]

    def test_the_loaded_model_does_not_touch_the_file_any_more(self, folder: Path) -> None:
        before = (folder / "model.safetensors").read_bytes()
        loaded = load_bundle(folder)
        for parameter in loaded.model.parameters():
            parameter.data.zero_()
        assert (folder / "model.safetensors").read_bytes() == before


class TestWhatItSays:
    def test_the_json_holds_all_that_a_prediction_or_a_doubt_needs(self, folder: Path) -> None:
        values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        assert values.keys() == BundleMetadata.model_fields.keys() - {
            "architecture_module",
            "cache",
            "collection",
            "network",
            "outside_data",
            "confidence_threshold",
            "temperature",
        }
        assert values["format_version"] == 1
        assert values["train"].keys() == TrainConfig.model_fields.keys()
        assert (values["train"]["arch"], values["train"]["hidden"], values["train"]["channels"]) == ("cel", [6], [4, 8])
        assert values["prepare"].keys() == PrepareConfig.model_fields.keys()
        assert values["prepare"]["front_end"].keys() == FeatureConfig.model_fields.keys()
        assert values["prepare"]["front_end"]["hop_length"] == 32
        assert values["genres"] == ["blues", "rock"]
        assert (values["split"], values["split_seed"]) == ("artist", 3)
        assert values["training"] == {"blues/a": "d1", "rock/ü": "d2"}
        assert values["validation"] == {"blues/c": "d3"}
        assert (values["epochs"], values["best_epoch"]) == (5, 4)
        assert values["validation_figures"] == {
            "loss": 1 / 3,
            "fragment_accuracy": INTERVAL,
            "track_accuracy": INTERVAL,
        }
        assert values["versions"] == {"python": "3.11", "torch": "2.11"}
        assert values["genrekit_version"] == "0.1.0"
        assert values["created"] == "2024-05-06T07:08:09+00:00"

    def test_the_parameter_count_is_that_of_the_stored_weights(self, folder: Path) -> None:
        tensors = load_tensors((folder / "model.safetensors").read_bytes())
        buffers = ("running_mean", "running_var", "num_batches_tracked", "standardize.mean", "standardize.deviation")
        stored = sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(buffers))
        assert read_metadata(folder).parameters == stored > 0

    def test_the_json_holds_nothing_of_this_machine_and_only_what_json_knows(self, folder: Path) -> None:
        def refuse(constant: str) -> None:
            pytest.fail(f"{constant} is no JSON")

        text = (folder / "model.json").read_text(encoding="utf-8")
        json.loads(text, parse_constant=refuse)
        assert str(folder.parent) not in text
        assert str(Path.cwd()) not in text

    def test_what_is_no_number_cannot_be_said(self) -> None:
        figures = {"loss": math.nan, "fragment_accuracy": INTERVAL, "track_accuracy": INTERVAL}
        with pytest.raises(UsageError, match="loss: input should be a finite number"):
            describe(tiny_config(), validation_figures=figures)

    def test_its_words_are_read_without_its_weights(self, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"")
        assert read_metadata(folder).best_epoch == 4

    @pytest.mark.parametrize(
        ("split", "name"),
        [("track", "track, seed 3"), ("artist", "artist, seed 3"), ("fault-filtered", "fault-filtered")],
    )
    def test_a_split_that_is_drawn_is_named_with_its_seed(self, split: str, name: str) -> None:
        assert describe(tiny_config(), split=split).split_name == name

    def test_bundles_rank_by_track_accuracy_and_then_by_loss(self) -> None:
        def rank(accuracy: float, loss: float) -> tuple[float, float]:
            track = {"value": accuracy, "low": 0, "high": 1}
            figures = {"loss": loss, "fragment_accuracy": INTERVAL, "track_accuracy": track}
            return describe(tiny_config(), validation_figures=figures).rank

        assert rank(0.75, 2.0) < rank(0.5, 0.25) < rank(0.5, 0.5)


def mapped(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[bytes], bytes]:
    """A whole tensor file with other tensors."""

    def apply(data: bytes) -> bytes:
        tensors = load_tensors(data)
        change(tensors)
        return save_tensors(tensors)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda data: b"", "model.safetensors is damaged", id="empty"),
        pytest.param(lambda data: data[:-1], "model.safetensors is damaged", id="a-byte-short"),
        pytest.param(lambda data: data[:100], "model.safetensors is damaged", id="half-a-header"),
        pytest.param(lambda data: data + b"\0", "model.safetensors is damaged", id="a-byte-long"),
        pytest.param(lambda data: b"no tensors here\n", "model.safetensors is damaged", id="text"),
        pytest.param(
            mapped(lambda tensors: tensors.pop("standardize.mean")),
            "does not fit model.json: standardize.mean is missing, expected float32 [16, 1]",
            id="a-tensor-less",
        ),
        pytest.param(
            mapped(lambda tensors: tensors.update(more=torch.zeros(3))),
            "does not fit model.json: more is float32 [3], expected missing",
            id="a-tensor-more",
        ),
        pytest.param(
            mapped(lambda tensors: tensors.update({"dense.1.bias": torch.zeros(7)})),
            "dense.1.bias is float32 [7], expected float32 [6]",
            id="another-shape",
        ),
        pytest.param(
            mapped(lambda tensors: tensors.update({"dense.1.bias": torch.zeros(6, dtype=torch.float16)})),
            "dense.1.bias is float16 [6], expected float32 [6]",
            id="another-type",
        ),
        pytest.param(
            lambda data: save_tensors(lived_in(tiny_config(arch="mlp2", hidden=(64, 32))).state_dict()),
            "does not fit model.json: blocks.0.weight is missing",
            id="another-architecture",
        ),
    ],
)
def test_tensors_that_are_not_the_models_are_refused(
    folder: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert message in refusal(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "model.json is damaged: cannot read", id="empty"),
        pytest.param(b'{"format_version": 1, "train"', "model.json is damaged: cannot read", id="truncated"),
        pytest.param(b"\xff\xfe", "model.json is damaged: cannot read", id="not-text"),
        pytest.param(b"[" * 100_000, "model.json is damaged: cannot read", id="endless-lists"),
        pytest.param(b"[1, 2]", "has bundle format None", id="a-list"),
        pytest.param(b"{}", "has bundle format None", id="an-object-of-nothing"),
        pytest.param(b'{"format_version": 1}', "model.json is damaged: genrekit_version: field required", id="alone"),
    ],
)
def test_json_that_says_nothing_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / "model.json").write_bytes(content)
    assert message in refusal(folder)


def without_genres(values: dict[str, Any]) -> None:
    del values["genres"]
    values["training"] = {f"blues/{number}": "digest" for number in range(1_000)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda v: v.update(format_version=99),
            "has bundle format 99, this version of genrekit reads format 1: ",
            id="another-version",
        ),
        pytest.param(without_genres, "model.json is damaged: genres: field required", id="no-genres"),
        pytest.param(lambda v: v.update(genres=["blues"]), "model.json is damaged: genres: ", id="one-genre"),
        pytest.param(
            lambda v: v["train"].update(arch="cel4"),
            "has the architecture 'cel4', which is not registered: register it before you load the bundle",
            id="an-unknown-architecture",
        ),
        pytest.param(lambda v: v["train"].update(lr=math.nan), "train.lr: input should be a finite number", id="a-nan"),
        pytest.param(
            lambda v: v["prepare"]["front_end"].update(hop=3),
            "is damaged: unknown key of front_end of prepare 'hop'",
            id="an-unknown-key",
        ),
        pytest.param(
            lambda v: v["prepare"]["front_end"].update(hop_length=65),
            "is damaged: hop_length must be at most n_fft (64), got 65",
            id="a-front-end-that-cannot-be",
        ),
        pytest.param(
            lambda v: v["validation_figures"]["track_accuracy"].update(value=1.5),
            "the value of an accuracy must be between 0 and 1, got 1.5",
            id="more-than-all",
        ),
        pytest.param(lambda v: v["train"].update(hidden=[10**6] * 3), "the model has 2,", id="a-larger-model"),
        pytest.param(
            lambda v: v["train"].update(hidden=[10**18]), "train.hidden.0: input should be less", id="an-endless-layer"
        ),
        pytest.param(
            lambda v: v["train"].update(channels=[4] * 9),
            "channels must name at most 4 blocks",
            id="more-blocks-than-the-fragments-have-room-for",
        ),
        pytest.param(lambda v: v["train"].update(hidden=[]), "does not fit model.json", id="a-smaller-model"),
        pytest.param(
            lambda v: v.update(genres=["blues", "jazz", "rock"]), "does not fit model.json", id="a-genre-more"
        ),
    ],
)
def test_json_that_claims_what_is_not_there_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(folder, change)
    found = refusal(folder)
    assert message in found
    assert len(found) < 600


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(folder: Path, value: float) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(mapped(lambda tensors: tensors["dense.1.bias"].fill_(value))(path.read_bytes()))
    assert "model.safetensors is damaged: dense.1.bias has NaN or infinite values" in refusal(folder)


@pytest.mark.parametrize("name", ["feature", "left", "right"])
@pytest.mark.parametrize("value", [-1, 100_000])
def test_trees_that_lead_out_of_the_forest_are_refused(tmp_path: Path, name: str, value: int) -> None:
    config = tiny_config(arch="forest")
    save_bundle(tmp_path / "best", tiny_model(config), describe(config))
    load_bundle(tmp_path / "best")
    path = tmp_path / "best" / "model.safetensors"
    path.write_bytes(mapped(lambda tensors: tensors[name][3, 5].fill_(value))(path.read_bytes()))
    assert "its trees refer to nodes or statistics that do not exist" in refusal(tmp_path / "best")


def test_another_format_version_comes_with_the_remedy(folder: Path) -> None:
    edit(folder, lambda values: values.update(format_version=2))
    assert refusal(folder).endswith("train the model again, or use the version of genrekit that wrote it")


def test_a_claim_of_a_huge_model_takes_no_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by its shapes alone, which is what tensors on the meta device have."""
    devices = []

    def build(*given: Any) -> nn.Module:
        devices.append(torch.empty(0).device.type)
        return build_model(*given)

    monkeypatch.setattr(bundle, "build_model", build)
    edit(folder, lambda values: values["train"].update(hidden=[10**6, 10**6]))
    assert "the model has 1,000,132," in refusal(folder)
    assert devices == ["meta"]


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_no_bundle(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder) == f"{folder} is not a bundle: it needs model.json and model.safetensors"


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_pickle_in_a_files_place_is_not_run(folder: Path, name: str, write: Callable[[Any, Path], None]) -> None:
    mark = folder / "ran"
    write(Bomb(mark), folder / name)
    assert f"{name} is damaged" in refusal(folder)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()


class TestSaving:
    @pytest.mark.parametrize("name", ["notes.txt", "model.json"])
    def test_a_folder_that_is_no_bundle_is_not_replaced(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / name).write_text("dear")
        config = tiny_config()
        with pytest.raises(
            BundleError, match="exists and is not a bundle: remove it, or choose another folder with --out"
        ):
            save_bundle(tmp_path / "mine", tiny_model(config), describe(config))
        assert (tmp_path / "mine" / name).read_text() == "dear"
        assert names(tmp_path) == ["mine"]

    def test_a_file_in_its_place_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("dear")
        config = tiny_config()
        with pytest.raises(BundleError, match="exists and is not a bundle"):
            save_bundle(tmp_path / "mine", tiny_model(config), describe(config))
        with pytest.raises(BundleError, match="cannot write the bundle"):
            save_bundle(tmp_path / "mine" / "best", tiny_model(config), describe(config))
        assert (tmp_path / "mine").read_text() == "dear"

    def test_who_may_read_the_folder_may_read_its_files(self, folder: Path) -> None:
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert modes["model.safetensors"] == modes["model.json"]

    @pytest.mark.parametrize("step", ["tensors", "json", "aside", "into-place"])
    def test_a_failure_leaves_the_old_bundle_and_nothing_else(
        self, folder: Path, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        def replace(source: Path, target: Path) -> None:
            calls.append(target)
            if len(calls) == (1 if step == "aside" else 2):
                full()
            real(source, target)

        calls: list[Path] = []
        real, before = os.replace, (folder / "model.json").read_text()
        with monkeypatch.context() as patched:
            if step == "tensors":
                patched.setattr(bundle, "write_tensors", full)
            elif step == "json":
                patched.setattr(Path, "write_text", full)
            else:
                patched.setattr(os, "replace", replace)
            config = tiny_config(arch="mlp")
            with pytest.raises(BundleError, match=r"cannot write the bundle .*best: No space left on device"):
                save_bundle(folder, tiny_model(config), describe(config))
        assert (folder / "model.json").read_text() == before
        assert load_bundle(folder).metadata.train.arch == "cel"
        assert names(folder.parent) == ["best"]

    def test_an_interrupt_leaves_the_old_bundle_and_nothing_else(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        config = tiny_config(arch="mlp")
        with monkeypatch.context() as patched:
            patched.setattr(bundle, "write_tensors", interrupt)
            with pytest.raises(KeyboardInterrupt):
                save_bundle(folder, tiny_model(config), describe(config))
        assert load_bundle(folder).metadata.train.arch == "cel"
        assert names(folder.parent) == ["best"]


class TestFindBundles:
    def test_a_bundle_is_found_itself(self, folder: Path) -> None:
        assert find_bundles(folder) == [folder]

    def test_the_bundles_in_a_folder_are_found_in_order_without_hidden_ones(self, folder: Path) -> None:
        config = tiny_config()
        for name in ("b", "a", ".a.new"):
            save_bundle(folder.parent / name, tiny_model(config), describe(config))
        (folder.parent / "notes").mkdir()
        assert [path.name for path in find_bundles(folder.parent)] == ["a", "b", "best"]

    @pytest.mark.parametrize("name", ["empty", "file", "missing"])
    def test_where_there_is_none_the_remedy_is_told(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").touch()
        with pytest.raises(BundleError, match=f"no bundle at .*{name}: train a model first, or name a folder"):
            find_bundles(tmp_path / name)


@pytest.mark.parametrize("arch", CLASSICAL)
def test_a_classical_model_comes_back_and_another_ones_tensors_are_refused(tmp_path: Path, arch: str) -> None:
    config = TrainConfig.of({"arch": arch})
    model = tiny_model(config)
    generator = torch.Generator().manual_seed(7)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    save_bundle(tmp_path / "best", model, describe(config))
    inputs = torch.rand(5, *FRONT_END.shape("mel"), generator=generator)
    loaded = load_bundle(tmp_path / "best").model
    assert torch.equal(loaded(inputs), model.eval()(inputs))
    edit(tmp_path / "best", lambda values: values.update(genres=["blues", "jazz", "rock"]))
    assert "does not fit model.json" in refusal(tmp_path / "best")
