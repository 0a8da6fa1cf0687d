"""Training: a model learns, results are reproducible bit for bit, and an interruption does not change them."""

import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from registered import NETWORKS
from tiny_training import TinyData, tiny_config, tiny_model, tiny_network
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit.config import Stored, TrainConfig
from genrekit.data.loader import Select
from genrekit.errors import GenrekitError
from genrekit.metrics.epochs import Epoch, Step
from genrekit.metrics.scores import Predictions
from genrekit.training import trainer
from genrekit.training.augment import BatchAugmentation
from genrekit.training.batch_prediction import predict_batches
from genrekit.training.checkpoint import load_checkpoint, save_checkpoint
from genrekit.training.loop import FitResult, fit
from genrekit.training.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer

CPU = torch.device("cpu")


class StopError(Exception):
    """Stops a run in the middle."""


def interrupt(*_: object) -> None:
    raise StopError


def run(config: TrainConfig, data: TinyData | None = None, **options: Any) -> tuple[nn.Module, FitResult]:
    """Train a new model."""
    model = tiny_model(config)
    return model, fit(model, data or TinyData(config.input), config, device=CPU, **options)


def stopped_after(epoch: int, config: TrainConfig, path: Path, data: TinyData | None = None) -> None:
    """Train, and interrupt after an epoch."""

    def interrupt(done: Epoch, _best: bool) -> None:
        if done.epoch == epoch:
            raise StopError

    with pytest.raises(StopError):
        run(config, data, checkpoint=path, on_epoch=interrupt)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def figures(result: FitResult) -> list[dict[str, Any]]:
    """Return the history without its seconds."""
    return [{**asdict(epoch), "seconds": None} for epoch in result.history]


def assert_equal(first: tuple[nn.Module, FitResult], second: tuple[nn.Module, FitResult]) -> None:
    """Require that two runs have the same weights, figures, best epoch and predictions, bit for bit."""
    assert same(weights(first[0]), weights(second[0]))
    assert figures(first[1]) == figures(second[1])
    assert first[1].best_epoch == second[1].best_epoch
    np.testing.assert_array_equal(first[1].predictions.probabilities, second[1].predictions.probabilities)
    np.testing.assert_array_equal(first[1].right, second[1].right)
    np.testing.assert_array_equal(first[1].loss, second[1].loss)
    assert first[1].training == second[1].training
    assert first[1].dead_channels == second[1].dead_channels


class Contrary(TinyData):
    """Data that validates on the wrong genres: the better the training, the worse the validation."""

    def validation_batches(self, first: int = 0, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for inputs, targets, tracks in super().validation_batches(first, step):
            yield inputs, 1 - targets, tracks


@pytest.mark.parametrize("kind", get_args(Stored))
@pytest.mark.parametrize("arch", NETWORKS)
def test_a_model_overfits_eight_fragments(arch: str, kind: Stored) -> None:
    config = tiny_config(arch=arch, input=kind, epochs=20, lr=0.02, dropout=0.0)
    _, result = run(config)
    assert result.history[0].validation_loss > 0.3
    assert result.predictions.loss < 0.1
    assert result.predictions.fragment_accuracy == result.predictions.track_accuracy == 1.0
    assert result.history[-1].train_accuracy == 1.0


@pytest.mark.parametrize("arch", NETWORKS)
def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(arch: str) -> None:
    once = run(tiny_config(arch=arch, seed=3))
    torch.manual_seed(99)
    assert_equal(once, run(tiny_config(arch=arch, seed=3)))
    assert not same(weights(once[0]), weights(run(tiny_config(arch=arch, seed=4))[0]))


def test_dropout_depends_on_the_seed_too() -> None:
    """The initial weights and the batches are equal, so only dropout differs."""
    found = []
    for seed in (3, 4):
        model = tiny_model(tiny_config(dropout=0.5))
        fit(model, TinyData(), tiny_config(dropout=0.5, seed=seed), device=CPU)
        found.append(weights(model))
    assert not same(*found)


def test_each_epoch_drops_different_units() -> None:
    """Batches are equal and the learning rate is almost 0, so only dropout differs between epochs."""

    class Same(TinyData):
        def train_batches(self, epoch: int, select: Select | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            return super().train_batches(1, select)

    for dropout, different in ((0.0, 1), (0.5, 3)):
        _, result = run(tiny_config(arch="mlp2", dropout=dropout, lr=1e-12), Same())
        assert len({round(epoch.train_loss, 5) for epoch in result.history}) == different


def test_the_random_state_of_the_caller_does_not_change() -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002 - the state that is shared

    def seed() -> None:
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        random.seed(5)

    seed()
    undisturbed = draw()
    seed()
    run(tiny_config(epochs=1))
    assert draw() == undisturbed
    seed()
    with pytest.raises(StopError):
        run(tiny_config(), on_step=interrupt)
    assert draw() == undisturbed


KILLED = tiny_config(opt="adamw", sched="cosine", epochs=5)
"""What is killed in its third epoch; an epoch has two steps."""

MOMENTS = {"in a step": 5, "while a checkpoint is written": 3, "before a checkpoint takes its place": 2}
"""Which step, fsync or link of a training is its last."""

KILLER = """
import os, signal, sys
from pathlib import Path

sys.path.insert(0, sys.argv[2])
from training.test_loop import KILLED, MOMENTS, run, tiny_model, trainer
from genrekit.training.optimizers import make_optimizer

make_optimizer(tiny_model(KILLED), KILLED).zero_grad()  # at a first use torch imports much, here once for all children
trainer.REPORT_EVERY_S = 0
link = os.link
for moment, left in MOMENTS.items():
    def count_down(*_):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        if moment == "while a checkpoint is written":
            os.fsync = count_down
        if moment == "before a checkpoint takes its place":
            os.link = lambda *names: (link(*names), count_down())
        path = Path(sys.argv[1]) / moment / "last.safetensors"
        run(KILLED, checkpoint=path, on_step=count_down if moment == "in a step" else None)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, moment
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return folders of runs that were killed, each at another time."""
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked")
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, "-c", KILLER, str(folder), str(Path(__file__).parents[1])], check=True, timeout=60)
    return folder


EVERY_OPTION: dict[str, Any] = {
    "opt": "sgd",
    "nesterov": True,
    "sched": "cosine",
    "warmup_epochs": 2,
    "clip_norm": 0.5,
    "ema": 0.9,
    "dropout": 0.3,
    "l1": 1e-4,
    "l2": 1e-3,
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "log_gradients": True,
}
"""Every option but for those of one kind of input."""


class TestResuming:
    @pytest.mark.parametrize("opt", OPTIMIZERS)
    @pytest.mark.parametrize("sched", SCHEDULES)
    def test_a_run_interrupted_after_any_epoch_ends_like_an_uninterrupted_one(
        self, tmp_path: Path, opt: str, sched: str
    ) -> None:
        """Validation gets worse with each epoch, so the plateau schedule acts."""
        config = tiny_config(opt=opt, sched=sched, epochs=5, lr=0.02, l1=1e-4, l2=1e-3, dropout=0.3)
        path = tmp_path / "last.safetensors"
        left = [tmp_path / f"{epoch}.safetensors" for epoch in range(1, config.epochs + 1)]
        whole = run(
            config, Contrary(), checkpoint=path, on_epoch=lambda epoch, _: shutil.copy(path, left[epoch.epoch - 1])
        )
        assert len({epoch.lr for epoch in whole[1].history}) > 1 or sched == "none"
        for checkpoint in left:
            assert_equal(whole, run(config, Contrary(), checkpoint=checkpoint, resume=True))

    @pytest.mark.parametrize(
        "augmentation",
        [
            {"spec_freq_mask": 5, "spec_time_mask": 5, "mixup": 0.4, "noise_std": 0.1},
            {"input": "waveform", "gain_db": 6.0, "mixup": 0.4},
        ],
        ids=["mel", "waveform"],
    )
    def test_a_run_with_every_option_resumes_exactly_after_any_epoch(
        self, tmp_path: Path, augmentation: dict[str, Any]
    ) -> None:
        config = tiny_config(**EVERY_OPTION, **augmentation, epochs=4)
        path = tmp_path / "last.safetensors"
        left = [tmp_path / f"{epoch}.safetensors" for epoch in range(1, config.epochs + 1)]
        data = TinyData(config.input)
        whole = run(config, data, checkpoint=path, on_epoch=lambda epoch, _: shutil.copy(path, left[epoch.epoch - 1]))
        for checkpoint in left:
            assert_equal(whole, run(config, data, checkpoint=checkpoint, resume=True))

    @pytest.mark.parametrize("arch", NETWORKS)
    @pytest.mark.parametrize("kind", get_args(Stored))
    def test_every_architecture_resumes_exactly(self, tmp_path: Path, arch: str, kind: Stored) -> None:
        config = tiny_config(arch=arch, input=kind, dropout=0.3)
        path = tmp_path / "last.safetensors"
        stopped_after(1, config, path)
        assert_equal(run(config), run(config, checkpoint=path, resume=True))

    def test_interrupts_after_all_epochs_do_not_change_the_result(self, tmp_path: Path) -> None:
        config, path = tiny_config(opt="sgd", sched="onecycle", epochs=4), tmp_path / "last.safetensors"
        stopped_after(1, config, path)
        for _ in range(config.epochs - 1):
            with pytest.raises(StopError):
                run(config, checkpoint=path, resume=True, on_epoch=interrupt)
        assert_equal(run(config), run(config, checkpoint=path, resume=True))

    def test_after_an_interrupt_within_an_epoch_only_this_epoch_is_repeated(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trainer, "REPORT_EVERY_S", 0)
        config, path = tiny_config(), tmp_path / "last.safetensors"

        def in_the_second_epoch(step: Step) -> None:
            if (step.epoch, step.step) == (2, 1):
                raise StopError

        with pytest.raises(StopError):
            run(config, checkpoint=path, on_step=in_the_second_epoch)
        epochs: list[int] = []
        resumed = run(config, checkpoint=path, resume=True, on_epoch=lambda epoch, _: epochs.append(epoch.epoch))
        assert epochs == [2, 3]
        assert_equal(run(config), resumed)

    def test_a_resumed_run_continues_to_count_epochs_without_improvement(self, tmp_path: Path) -> None:
        config, path = tiny_config(epochs=20, patience=3, lr=0.02, dropout=0.0), tmp_path / "last.safetensors"
        whole = run(config, Contrary())
        assert 3 < len(whole[1].history) < 20
        stopped_after(len(whole[1].history) - 1, config, path, Contrary())
        assert_equal(whole, run(config, Contrary(), checkpoint=path, resume=True))

    def test_a_finished_run_does_not_train_any_more(self, tmp_path: Path) -> None:
        config, path = tiny_config(), tmp_path / "last.safetensors"
        whole = run(config, checkpoint=path)
        assert_equal(whole, run(config, checkpoint=path, resume=True, on_epoch=interrupt))

    def test_without_a_checkpoint_there_is_nothing_to_resume(self, tmp_path: Path) -> None:
        with pytest.raises(GenrekitError, match="nothing to resume"):
            run(tiny_config(), checkpoint=tmp_path / "last.safetensors", resume=True)

    def test_a_checkpoint_of_another_model_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "last.safetensors"
        run(tiny_config(channels=(4, 8)), checkpoint=path)
        with pytest.raises(GenrekitError, match="does not match the configuration: resume with that of the run"):
            run(tiny_config(channels=(4, 4)), checkpoint=path, resume=True)

    @pytest.mark.parametrize("part", ["model", "best", "groups", "history", "best_epoch", "schedule", "answers"])
    def test_an_incomplete_checkpoint_is_refused_before_an_epoch_is_trained(self, tmp_path: Path, part: str) -> None:
        config, path = tiny_config(sched="plateau"), tmp_path / "last.safetensors"
        stopped_after(1, config, path)
        saved = load_checkpoint(path)
        if part in ("model", "best"):
            del getattr(saved, part)["standardize.mean"]
        elif part == "groups":
            del saved.optimizer["param_groups"][0]["params"]
        elif part == "history":
            del saved.progress["history"][0]["train_loss"]
        elif part == "answers":
            del saved.answers["loss"]
        else:
            del saved.progress[part]
        save_checkpoint(path, saved)
        with pytest.raises(GenrekitError, match=r"last\.safetensors does not match the configuration") as caught:
            run(config, checkpoint=path, resume=True, on_step=interrupt)
        assert "\n" not in str(caught.value)

    def test_a_checkpoint_with_predictions_of_other_epochs_is_refused(self, tmp_path: Path) -> None:
        config, path = tiny_config(), tmp_path / "last.safetensors"
        stopped_after(2, config, path)
        saved = load_checkpoint(path)
        save_checkpoint(path, replace(saved, answers={name: rows[:1] for name, rows in saved.answers.items()}))
        with pytest.raises(GenrekitError, match=r"last\.safetensors does not match the configuration"):
            run(config, checkpoint=path, resume=True)

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_a_killed_run_resumes_and_ends_with_the_same_weights(self, killed: Path, moment: str) -> None:
        epochs: list[int] = []
        resumed = run(
            KILLED,
            checkpoint=killed / moment / "last.safetensors",
            resume=True,
            on_epoch=lambda epoch, _: epochs.append(epoch.epoch),
        )
        assert epochs == [3, 4, 5]
        assert_equal(run(KILLED), resumed)


class TestOptions:
    def test_the_gradient_is_clipped_to_the_configured_norm(self) -> None:
        """One step of plain gradient descent moves the weights by the learning rate times the norm, which is far below
        that of the gradient.
        """
        config = tiny_config(arch="mlp", opt="sgd", lr=1.0, epochs=1, batch_size=8, clip_norm=0.01)
        model = tiny_model(config)
        before = torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])
        fit(model, TinyData(batch_size=8), config, device=CPU)
        moved = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]) - before
        assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)

    @pytest.mark.parametrize("clip_norm", [0.0, 0.01])
    def test_logging_the_norms_of_gradients_does_not_change_the_weights(self, clip_norm: float) -> None:
        """The first step of plain gradient descent moves the weights by the learning rate times the gradient."""
        values: dict[str, Any] = {"arch": "mlp", "opt": "sgd", "lr": 1e-3, "l2": 1.0, "clip_norm": clip_norm}
        plain, logged = run(tiny_config(**values)), run(tiny_config(**values, log_gradients=True))
        assert same(weights(plain[0]), weights(logged[0]))
        assert all(epoch.gradient_mean is epoch.gradient_max is None for epoch in plain[1].history)
        for epoch in logged[1].history:
            assert epoch.gradient_mean is not None
            assert epoch.gradient_max is not None
            assert 0.01 < epoch.gradient_mean < epoch.gradient_max
        if not clip_norm:
            config = tiny_config(**values, epochs=1, batch_size=8, log_gradients=True)
            model = tiny_model(config)
            before = torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])
            (only,) = fit(model, TinyData(batch_size=8), config, device=CPU).history
            moved = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]) - before
            assert only.gradient_mean == only.gradient_max == pytest.approx(moved.norm().item() / 1e-3, rel=1e-3)

    @pytest.mark.parametrize("option", [{"label_smoothing": 0.3}, {"class_weights": "balanced"}], ids=str)
    def test_label_smoothing_and_class_weights_are_trained_on_and_not_reported(self, option: dict[str, Any]) -> None:
        values = {"arch": "mlp", "opt": "sgd", "epochs": 2, "batch_size": 6}
        data = TinyData(n_fragments=6, batch_size=6)
        assert data.genre_counts.tolist() == [4, 2]
        (plain, without), (changed, found) = (
            run(tiny_config(**values), data),
            run(tiny_config(**values, **option), data),
        )
        assert found.history[0].train_loss == without.history[0].train_loss
        assert not same(weights(plain), weights(changed))
        assert found.predictions.loss == pytest.approx(by_hand(changed, data)[1])

    @pytest.mark.parametrize(("option", "expected"), [("none", 1 / 3), ("balanced", 1 / 2)])
    def test_class_weights_compensate_for_a_rare_genre(self, option: str, expected: float) -> None:
        """All fragments are equal, so only the shares of the genres can be learned."""
        data, found = TinyData(n_fragments=6, batch_size=6), []
        data.inputs[:] = 0.5
        config = tiny_config(arch="mlp", epochs=60, lr=0.02, class_weights=option)
        model = tiny_model(config)
        fit(model, data, config, device=CPU, on_epoch=lambda *_: found.append(model(data.inputs[:1]).softmax(1)))
        assert found[-1][0, 1].item() == pytest.approx(expected, abs=0.02)

    def test_averaged_weights_are_validated_and_saved_and_the_others_are_trained_on(self) -> None:
        """There is one step per epoch. The average is compared with the weights of a run without averaging, which are
        the same.
        """
        values: dict[str, Any] = {"arch": "cel", "epochs": 4, "lr": 0.02, "batch_size": 8}
        data, each = TinyData(batch_size=8), []
        model = tiny_model(tiny_config(**values))
        fit(model, data, tiny_config(**values), device=CPU, on_epoch=lambda *_: each.append(weights(model)))
        kept, result = run(tiny_config(**values, ema=0.8), data)
        names = [name for name, _ in kept.named_parameters()]
        average = {name: each[0][name] for name in names}
        for state in each[1 : result.best_epoch]:
            average = {name: 0.8 * average[name] + 0.2 * state[name] for name in names}
        found, own = weights(kept), each[result.best_epoch - 1]
        for name, tensor in found.items():
            torch.testing.assert_close(tensor, average.get(name, own[name]), rtol=1e-5, atol=1e-7)
        assert not same({name: found[name] for name in names}, {name: own[name] for name in names})
        assert result.predictions.loss == result.history[result.best_epoch - 1].validation_loss

    def test_the_loss_of_mixed_fragments_is_weighted_and_the_larger_share_counts_for_accuracy(self) -> None:
        """The learning rate is almost 0, so the figures are those of the initial weights on the mixed fragments."""
        config = tiny_config(arch="mlp", lr=1e-12, epochs=1, batch_size=8, mixup=1.0, label_smoothing=0.3)
        data, model = TinyData(batch_size=8), tiny_network(config)
        ((inputs, targets, _),) = data.train_batches(1)
        mixed = BatchAugmentation(config, model.standardize.mean, 1)(inputs, targets)
        with torch.no_grad():
            logits = model(mixed.inputs)
        assert mixed.others is not None
        expected = mixed.share * cross_entropy(logits, mixed.targets)
        expected = expected + (1 - mixed.share) * cross_entropy(logits, mixed.others)
        (epoch,) = fit(model, data, config, device=CPU).history
        assert epoch.train_loss == pytest.approx(expected.item(), rel=1e-5)
        assert epoch.train_accuracy == (logits.argmax(1) == mixed.targets).double().mean().item()

    @pytest.mark.parametrize(
        "option", [{"spec_freq_mask": 5}, {"spec_time_mask": 5}, {"mixup": 0.4}, {"noise_std": 0.1}], ids=str
    )
    def test_each_augmentation_changes_the_training(self, option: dict[str, Any]) -> None:
        (plain, _), (changed, _) = run(tiny_config(epochs=1)), run(tiny_config(epochs=1, **option))
        assert not same(weights(plain), weights(changed))

    def test_a_checkpoint_without_an_average_is_refused_if_the_configuration_has_one(self, tmp_path: Path) -> None:
        path = tmp_path / "last.safetensors"
        stopped_after(1, tiny_config(), path)
        with pytest.raises(GenrekitError, match="does not match the configuration"):
            run(tiny_config(ema=0.5), checkpoint=path, resume=True, on_step=interrupt)


def scripted(monkeypatch: pytest.MonkeyPatch, validations: list[tuple[float, float]]) -> None:
    """Let validation return these losses and track accuracies, one for each epoch; at the end, return the real ones."""
    true, left = predict_batches, iter(validations)

    def predict(*arguments: Any) -> Any:
        given = next(left, None)
        if given is None:
            return true(*arguments)
        return SimpleNamespace(
            loss=given[0],
            fragment_accuracy=0.5,
            track_accuracy=given[1],
            per_track=lambda: (np.zeros(1), np.zeros(1), np.zeros(1)),
            track_losses=lambda: np.array([given[0]]),
        )

    monkeypatch.setattr(trainer, "predict_batches", predict)


LOSSES = [(3.0, 0.2), (2.0, 0.6), (1.0, 0.4), (1.5, 0.6), (2.5, 0.6)]
"""The lowest loss is in epoch 3, the highest accuracy in 2, 4 and 5, of which 4 has the lowest loss."""


@pytest.mark.parametrize(
    ("monitor", "patience", "validations", "epochs", "best"),
    [
        pytest.param("loss", 0, LOSSES, 5, 3, id="loss"),
        pytest.param("track_accuracy", 0, LOSSES, 5, 4, id="track-accuracy-then-loss"),
        pytest.param("loss", 1, LOSSES, 4, 3, id="patience-1"),
        pytest.param("loss", 2, LOSSES, 5, 3, id="patience-2"),
        pytest.param("track_accuracy", 1, LOSSES, 3, 2, id="patience-1-track-accuracy"),
        pytest.param("track_accuracy", 2, LOSSES, 5, 4, id="patience-2-track-accuracy"),
        pytest.param("loss", 2, [(1.0, 0.5)] * 5, 3, 1, id="equal-is-no-improvement"),
        pytest.param("loss", 0, [(1.0 + n, 0.5) for n in range(5)], 5, 1, id="patience-0-never-stops"),
        pytest.param("loss", 1, [(5.0 - n, 0.5) for n in range(5)], 5, 5, id="always-better"),
        pytest.param("last", 0, LOSSES, 5, 5, id="last"),
    ],
)
def test_training_stops_after_its_patience_and_restores_the_best_epoch(
    monkeypatch: pytest.MonkeyPatch,
    monitor: str,
    patience: int,
    validations: list[tuple[float, float]],
    epochs: int,
    best: int,
) -> None:
    scripted(monkeypatch, validations[:epochs])
    config = tiny_config(epochs=5, monitor=monitor, patience=patience)
    model, each, better = tiny_model(config), [], []

    def keep(epoch: Epoch, is_best: bool) -> None:
        each.append(weights(model))
        better.append(is_best)

    result = fit(model, TinyData(), config, device=CPU, on_epoch=keep)
    assert len(result.history) == epochs
    assert result.best_epoch == best
    assert max(number for number, is_best in enumerate(better, 1) if is_best) == best
    assert [same(weights(model), state) for state in each] == [number == best for number in range(1, epochs + 1)]
    np.testing.assert_array_equal(result.loss[:, 0], np.array([loss for loss, _ in validations[:epochs]], np.float32))


def by_hand(model: nn.Module, data: TinyData) -> tuple[Tensor, float]:
    """Return a model's probabilities of the validation fragments and their mean cross-entropy, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(inputs) for inputs, _, _ in data.validation_batches()]).double()
    targets = torch.cat([targets for _, targets, _ in data.validation_batches()])
    return logits.softmax(dim=1), cross_entropy(logits, targets).item()


def test_predictions_are_those_of_the_best_epoch_in_evaluation_mode() -> None:
    data = Contrary(n_fragments=10)
    model, result = run(tiny_config(epochs=5, lr=0.02, dropout=0.5), data)
    assert result.best_epoch < len(result.history)
    assert not model.training
    probabilities, loss = by_hand(model, data)
    np.testing.assert_allclose(result.predictions.probabilities, probabilities, rtol=1e-12)
    assert result.predictions.loss == result.history[result.best_epoch - 1].validation_loss == pytest.approx(loss)
    np.testing.assert_array_equal(result.predictions.truth, [1, 1, 0, 0, 1, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(result.predictions.track, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])


@pytest.mark.parametrize("arch", ["mlp2", "cel"])
def test_dropout_and_batch_norm_are_in_evaluation_mode_for_validation_and_not_for_training(arch: str) -> None:
    config, data = tiny_config(arch=arch, epochs=2), TinyData()
    model, modes = tiny_model(config), []
    special = [m for m in model.modules() if "Drop" in type(m).__name__ or "BatchNorm" in type(m).__name__]
    assert len({type(module) for module in special}) == 2
    for module in special:
        module.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    result = fit(model, data, config, device=CPU)
    validation = [False] * len(list(data.validation_batches()))
    training = [False] * len(list(data.training_batches_in_order()))
    at_the_end = [*training, *validation, *(training if result.best_epoch < 2 else []), *validation]
    expected = ([True] * data.steps_per_epoch + validation) * 2 + at_the_end
    assert modes == [mode for mode in expected for _ in special]


class TestAnswers:
    @pytest.mark.parametrize("ema", [0.0, 0.5])
    def test_the_predictions_of_each_epoch_are_those_of_its_validated_weights(self, ema: float) -> None:
        """With patience 0 and monitor last, a shorter run ends with the weights of an earlier epoch."""
        values: dict[str, Any] = {"lr": 0.02, "dropout": 0.3, "ema": ema, "monitor": "last"}
        data = Contrary(n_fragments=10)
        _, result = run(tiny_config(**values, epochs=3), data)
        assert result.right.shape == result.loss.shape == (3, 5)
        assert [found.dtype.name for found in (result.right, result.loss)] == ["bool", "float32"]
        for epoch in (1, 2, 3):
            model, _ = run(tiny_config(**values, epochs=epoch), data)
            probabilities, _ = by_hand(model, data)
            truth = 1 - data.targets
            losses = cross_entropy(probabilities.log(), truth, reduction="none").view(5, 2).mean(1)
            right = probabilities.view(5, 2, 2).mean(1).argmax(1) == truth.view(5, 2)[:, 0]
            np.testing.assert_array_equal(result.right[epoch - 1], right)
            np.testing.assert_allclose(result.loss[epoch - 1], losses, rtol=1e-6)
            assert result.history[epoch - 1].validation_track_accuracy == result.right[epoch - 1].mean()

    @pytest.mark.parametrize("ema", [0.0, 0.5])
    @pytest.mark.parametrize("data", [TinyData(n_fragments=10), Contrary(n_fragments=10)], ids=["learns", "gets-worse"])
    def test_the_predicted_genres_are_those_of_the_best_and_of_the_last_epoch(self, data: TinyData, ema: float) -> None:
        _, result = run(tiny_config(epochs=4, lr=0.02, ema=ema, monitor="loss"), data)
        truth = result.predictions.per_track()[1]
        for at, epoch in (("best", result.best_epoch), ("last", 4)):
            np.testing.assert_array_equal(result.predicted[at] == truth, result.right[epoch - 1])

    @pytest.mark.parametrize("ema", [0.0, 0.5])
    @pytest.mark.parametrize("data", [TinyData(n_fragments=10), Contrary(n_fragments=10)], ids=["learns", "gets-worse"])
    def test_training_figures_are_those_of_the_unaltered_training_set_in_evaluation_mode(
        self, data: TinyData, ema: float
    ) -> None:
        config = tiny_config(epochs=4, lr=0.02, dropout=0.5, ema=ema, spec_freq_mask=5)
        (model, result), (last, _) = run(config, data), run(config.model_copy(update={"monitor": "last"}), data)
        assert (result.best_epoch == 4) == (type(data) is TinyData)
        for which, whose in (("best", model), ("last", last)):
            expected = predict_batches(whose, data.training_batches_in_order(), CPU)
            found = result.training[which]
            assert found.loss == pytest.approx(expected.loss, rel=1e-9)
            assert found.fragment_accuracy == expected.fragment_accuracy
            assert found.track_accuracy == expected.track_accuracy

    def test_a_loss_on_the_training_set_that_is_not_finite_is_an_error_of_one_line(self) -> None:
        class Fails(TinyData):
            def training_batches_in_order(
                self, first: int = 0, step: int = 1
            ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
                for inputs, targets, tracks in super().training_batches_in_order(first, step):
                    yield inputs * math.nan, targets, tracks

        with pytest.raises(GenrekitError, match="NaN or infinite in epoch 3, training set: lower"):
            run(tiny_config(), Fails())


def test_validation_changes_no_weights_and_no_running_statistics() -> None:
    model, data = tiny_model(tiny_config()), TinyData()
    before = weights(model)
    predict_batches(model, data.validation_batches(), CPU)
    assert same(weights(model), before)


def test_validation_figures_do_not_depend_on_the_size_of_batches() -> None:
    """Batches have 3, 3 and 2 fragments, so the mean over batches would not be the mean over fragments."""
    model, data = tiny_model(tiny_config()), TinyData()
    found = predict_batches(model, data.validation_batches(), CPU)
    assert found.loss == pytest.approx(by_hand(model, data)[1], rel=1e-12)
    assert isinstance(found, Predictions)


class TestReportedLoss:
    def test_the_loss_of_an_epoch_is_the_mean_over_its_fragments(self) -> None:
        """The learning rate is almost 0, so all batches, of which the last is smaller, see the initial weights."""
        config, data = tiny_config(arch="mlp", lr=1e-12, epochs=1), TinyData(n_fragments=6)
        model = tiny_model(config)
        _, expected = by_hand(model, data)
        accuracy = (model(data.inputs).argmax(1) == data.targets).double().mean().item()
        (epoch,) = fit(model, data, config, device=CPU).history
        assert epoch.train_loss == pytest.approx(expected, rel=1e-5)
        assert epoch.train_accuracy == pytest.approx(accuracy)

    @pytest.mark.parametrize(
        "penalties",
        [{"l1": 10.0}, {"l2": 10.0}, {"l1": 10.0, "penalty": "norms"}, {"l2": 10.0, "penalty": "norms"}],
        ids=["l1", "l2", "l1-norms", "l2-norms"],
    )
    def test_penalties_are_trained_on_and_not_reported(self, penalties: dict[str, Any]) -> None:
        config = {"arch": "mlp", "opt": "sgd", "lr": 1e-4, "epochs": 2, "batch_size": 8}
        data = TinyData(batch_size=8)
        (free, without), (bound, found) = (
            run(tiny_config(**config), data),
            run(tiny_config(**config, **penalties), data),
        )
        assert found.history[0].train_loss == without.history[0].train_loss
        assert found.predictions.loss == pytest.approx(by_hand(bound, data)[1])
        assert max(epoch.train_loss for epoch in found.history) < 1

        def size(model: nn.Module) -> float:
            return sum(p.abs().sum().item() for p in model.parameters() if p.ndim > 1)

        assert size(bound) < size(free)


class TestDivergence:
    def test_a_loss_that_is_not_finite_stops_the_run_with_the_remedy(self) -> None:
        with pytest.raises(GenrekitError, match=r"NaN or infinite in epoch \d.*: lower the learning rate \(1e\+20\)"):
            run(tiny_config(arch="mlp", opt="sgd", lr=1e20))

    def test_a_model_with_infinite_statistics_is_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its loss can be finite, but a bundle of it cannot be loaded."""
        predict = trainer.Trainer.validate

        def spoil(self: trainer.Trainer) -> Predictions:
            predictions = predict(self)
            for name, buffer in self.model.named_buffers():
                if name.endswith("running_var"):
                    buffer.fill_(math.inf)
            return predictions

        monkeypatch.setattr(trainer.Trainer, "validate", spoil)
        with pytest.raises(GenrekitError, match=r"a value of the model is NaN or infinite in epoch 1, .*running_var: "):
            run(tiny_config(arch="cel2"))

    @pytest.mark.parametrize("report_every_s", [0, math.inf], ids=["reported", "not-reported"])
    @pytest.mark.parametrize("batch_size", [2, 16])
    def test_the_error_names_the_first_step_with_a_nan_and_its_tracks(
        self, monkeypatch: pytest.MonkeyPatch, batch_size: int, report_every_s: float
    ) -> None:
        monkeypatch.setattr(trainer, "REPORT_EVERY_S", report_every_s)
        data = TinyData(n_fragments=16, batch_size=batch_size)
        data.inputs[3] = math.nan
        batches = list(enumerate(data.train_batches(1), 1))
        step, tracks = next((step, tracks) for step, (inputs, _, tracks) in batches if inputs.isnan().any())
        ids = [f"track-{index}" for index in sorted(set(tracks.tolist()))]
        shown = f"{', '.join(ids[:5])} and 3 more" if len(ids) > 5 else ", ".join(ids)
        with pytest.raises(GenrekitError) as caught:
            run(tiny_config(arch="mlp"), data)
        assert str(caught.value) == (
            f"the loss is NaN or infinite in epoch 1, step {step} (tracks {shown}): "
            "lower the learning rate (0.001) or the penalties, or set clip_norm"
        )

    def test_a_nan_in_validation_stops_the_run_and_keeps_the_last_complete_epoch(self, tmp_path: Path) -> None:
        class Fails(TinyData):
            def validation_batches(self, first: int = 0, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
                for inputs, targets, tracks in super().validation_batches(first, step):
                    yield inputs * (math.nan if done else 1.0), targets, tracks

        done: list[Epoch] = []
        path = tmp_path / "last.safetensors"
        with pytest.raises(GenrekitError, match="in epoch 2, validation set"):
            run(tiny_config(), Fails(), checkpoint=path, on_epoch=lambda epoch, _: done.append(epoch))
        assert load_checkpoint(path).progress["history"] == [asdict(done[0])]


class TestCallbacks:
    def test_each_epoch_is_reported_after_its_checkpoint_is_written(self, tmp_path: Path) -> None:
        path, epochs = tmp_path / "last.safetensors", []

        def on_epoch(epoch: Epoch, best: bool) -> None:
            progress = load_checkpoint(path).progress
            assert progress["history"][-1] == asdict(epoch)
            assert (progress["best_epoch"] == epoch.epoch) == best
            epochs.append(epoch)

        _, result = run(tiny_config(sched="cosine"), Contrary(), checkpoint=path, on_epoch=on_epoch)
        assert tuple(epochs) == result.history
        assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
        assert [epoch.lr for epoch in epochs] == pytest.approx([1e-3, 0.75e-3, 0.25e-3])

    def test_each_step_is_reported_with_the_means_so_far_and_the_learning_rate(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trainer, "REPORT_EVERY_S", 0)
        steps: list[Step] = []
        config, data = tiny_config(arch="mlp", sched="cosine", epochs=2), TinyData(n_fragments=6)
        model = tiny_model(config)
        inputs, targets, _ = next(data.train_batches(1))
        with torch.no_grad():
            logits = model(inputs)
        result = fit(model, data, config, device=CPU, on_step=steps.append)
        assert [(step.epoch, step.epochs, step.step, step.steps) for step in steps] == [
            (1, 2, 1, 2),
            (1, 2, 2, 2),
            (2, 2, 1, 2),
            (2, 2, 2, 2),
        ]
        assert [step.lr for step in steps] == pytest.approx(
            [0.5e-3 * (1 + math.cos(math.pi * number / 4)) for number in range(4)]
        )
        assert steps[0].loss == pytest.approx(cross_entropy(logits, targets).item())
        assert steps[0].accuracy == pytest.approx((logits.argmax(1) == targets).double().mean().item())
        for step, epoch in zip(steps[1::2], result.history, strict=True):
            assert (step.loss, step.accuracy) == (epoch.train_loss, epoch.train_accuracy)
        assert all(step.fragments_per_s > 0 for step in steps)

    def test_the_last_step_of_an_epoch_is_always_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trainer, "REPORT_EVERY_S", math.inf)
        steps: list[tuple[int, int]] = []
        run(tiny_config(), on_step=lambda step: steps.append((step.epoch, step.step)))
        assert steps == [(1, 2), (2, 2), (3, 2)]


@pytest.mark.parametrize("values", [{}, {"arch": "cel", "input": "waveform", "channels": (8, 8)}])
def test_a_compiled_run_has_the_plain_names_and_almost_the_same_weights(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The eager backend of the compiler needs no C++ compiler."""
    compile_model = torch.compile
    traced: list[nn.Module] = []

    def compile_eagerly(model: nn.Module) -> Any:
        traced.append(model)
        return compile_model(model, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    plain, _ = run(tiny_config(dropout=0.0, **values))
    assert not traced
    fast, _ = run(tiny_config(dropout=0.0, compile=True, **values))
    assert traced == [fast]
    assert weights(fast).keys() == weights(plain).keys()
    for name, tensor in weights(fast).items():
        torch.testing.assert_close(tensor, weights(plain)[name], msg=name)


def check_a_compiled_run(folder: Path) -> None:
    """Check that a compiled run has the weights of a plain one, uses the C++ code of inductor, and resumes exactly."""
    config, path = tiny_config(arch="mlp", epochs=2, compile=True), folder / "last.safetensors"
    plain, _ = run(config.model_copy(update={"compile": False}))
    whole = run(config)
    for name, tensor in weights(whole[0]).items():
        torch.testing.assert_close(tensor, weights(plain)[name], msg=name, rtol=1e-3, atol=1e-3)
    assert list((folder / "inductor").rglob("*.so"))
    stopped_after(1, config, path)
    assert_equal(whole, run(config, checkpoint=path, resume=True))


COMPILED = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[2])
from training.test_loop import check_a_compiled_run
check_a_compiled_run(Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="there is no C++ compiler")
def test_a_run_compiled_by_inductor_has_almost_the_same_weights_and_resumes_exactly(tmp_path: Path) -> None:
    """It runs in a new process, because setuptools, which inductor imports, fails if another test has imported
    distutils.
    """
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, str(tmp_path), str(Path(__file__).parents[1])],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")},
    )
    assert done.returncode == 0, done.stderr


def test_a_model_that_cannot_be_compiled_is_an_error_of_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("no C++ compiler\nand more")

    compile_model = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile_model(model, backend=broken))
    with pytest.raises(GenrekitError, match=r"the model cannot be compiled here .*: train without compile") as caught:
        run(tiny_config(compile=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opt", OPTIMIZERS)
def test_a_step_equals_that_of_the_optimizer_of_torch(opt: str) -> None:
    config = tiny_config(opt=opt)
    ours, fused, plain = (tiny_model(config) for _ in range(3))
    make = partial(OPTIMIZERS[opt], lr=config.learning_rate)
    optimizers = make_optimizer(ours, config), make(fused.parameters(), fused=True), make(plain.parameters())
    for _ in range(3):
        for model, optimizer in zip((ours, fused, plain), optimizers, strict=True):
            optimizer.zero_grad()
            cross_entropy(model.eval()(TinyData().inputs), TinyData().targets).backward()
            optimizer.step()
    assert same(weights(ours), weights(fused))
    for name, weight in weights(plain).items():
        torch.testing.assert_close(weights(ours)[name], weight, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("sched", SCHEDULES)
def test_a_run_without_compile_does_not_import_the_compiler(sched: str) -> None:
    """The import would take longer than everything else before the first step."""
    script = f"""
import sys, torch
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from tiny_training import TinyData, tiny_config, tiny_model
from genrekit.training.footprint import measure
from genrekit.training.loop import fit

config = tiny_config(sched={sched!r})
model = tiny_model(config)
measure(model, config, (16, 17), torch.device("cpu"))
fit(model, TinyData(), config, device=torch.device("cpu"))
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up as Linux shows it")
@pytest.mark.parametrize(
    "ask",
    [
        "predict_batches(model, batches(count), cpu)",
        "training_figures(model, batches(count), cpu, n_tracks=1, n_genres=2)",
        "dead_channels(model, batches(count), cpu)",
    ],
)
def test_the_memory_of_predictions_does_not_grow_with_the_number_of_batches(ask: str) -> None:
    """A small tensor kept from each batch used to keep the memory block of the batch: 600 MB for 6,000 fragments."""
    script = f"""
import torch
from genrekit.training.dead_units import dead_channels
from genrekit.training.batch_prediction import predict_batches, training_figures

def held():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024

def batches(count):
    for _ in range(count):
        half = torch.zeros(64, 128, 216, dtype=torch.float16)
        yield half.to(torch.float32), torch.zeros(64, dtype=torch.int64), torch.zeros(64, dtype=torch.int64)

def ask(count):
    {ask}

cpu = torch.device("cpu")
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128 * 216, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
ask(20)
before = held()
ask(80)
print(held() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, timeout=120, capture_output=True, text=True)
    every_batch = 80 * 64 * 128 * 216 * 4 / 2**20
    assert float(done.stdout) < every_batch / 4
