"""Optimizers and schedules, applied to one weight."""

import json
import math
from typing import Any, get_args

import pytest
import torch
from tiny_training import tiny_config
from torch import nn
from torch.optim import Optimizer

from genrekit.config import TrainConfig
from genrekit.training.optimizers import OPTIMIZERS, SCHEDULES, Schedule, make_optimizer, make_schedule

LR = 0.1


def make(steps: int = 1, **values: Any) -> tuple[nn.Linear, Optimizer, Schedule]:
    """Return a weight of 1, its optimizer and its schedule."""
    config = tiny_config(**{"lr": LR, **values})
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = make_optimizer(model, config)
    return model, optimizer, make_schedule(optimizer, config, steps)


def weights(gradients: list[float], **values: Any) -> list[float]:
    """Return the weight after each of some steps with these gradients."""
    model, optimizer, _ = make(**values)
    found = []
    for gradient in gradients:
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimizer.step()
        found.append(model.weight.item())
    return found


def drive(optimizer: Optimizer, schedule: Schedule, losses: list[float], steps: int) -> list[tuple[float, float]]:
    """Simulate an epoch for each validation loss; return the learning rate and the momentum of each step."""
    found = []
    for loss in losses:
        for _ in range(steps):
            group = optimizer.param_groups[0]
            found.append((schedule.lr, group["momentum"] if "momentum" in group else group["betas"][0]))
            optimizer.step()
            schedule.after_step()
        schedule.after_epoch(loss)
    return found


def rates(sched: str, epochs: int, steps: int) -> list[float]:
    """Return the learning rate of each step of a run whose loss always falls, and the one after the last step."""
    _, optimizer, schedule = make(steps, sched=sched, epochs=epochs)
    losses = [1 / epoch for epoch in range(1, epochs + 1)]
    return [*(rate for rate, _ in drive(optimizer, schedule, losses, steps)), schedule.lr]


@pytest.mark.parametrize(("table", "key"), [(OPTIMIZERS, "opt"), (SCHEDULES, "sched")], ids=["opt", "sched"])
def test_every_name_of_the_configuration_is_in_the_table(table: dict[str, Any], key: str) -> None:
    assert tuple(sorted(table)) == tuple(sorted(get_args(TrainConfig.model_fields[key].annotation)))


class TestOptimizers:
    def test_with_momentum_a_second_equal_gradient_moves_the_weight_almost_twice_as_far(self) -> None:
        assert weights([1.0, 1.0], opt="sgd") == pytest.approx([1 - LR, 1 - LR - LR * (1 + 0.9)])

    def test_nesterov_momentum_includes_the_next_step(self) -> None:
        """Sutskever et al. 2013 in the form of torch: the gradient plus 0.9 times the velocity that includes it."""
        found = weights([1.0, 1.0], opt="sgd", nesterov=True)
        assert found == pytest.approx([1 - LR * 1.9, 1 - LR * 1.9 - LR * (1 + 0.9 * 1.9)])

    @pytest.mark.parametrize("gradient", [3.0, -0.001])
    def test_the_first_step_of_adam_is_the_learning_rate_for_any_gradient(self, gradient: float) -> None:
        assert weights([gradient], opt="adam") == pytest.approx([1 - math.copysign(LR, gradient)], abs=1e-5)

    def test_adam_averages_gradients_as_published(self) -> None:
        """Kingma and Ba 2015, algorithm 1, with betas of 0.9 and 0.999 and an epsilon of 1e-8."""
        weight, first, second, expected = 1.0, 0.0, 0.0, []
        gradients = [1.0, -0.5, 2.0, 0.0]
        for step, gradient in enumerate(gradients, 1):
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            weight -= LR * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
            expected.append(weight)
        assert weights(gradients, opt="adam") == pytest.approx(expected)

    def test_adamw_also_decays_the_weight_by_a_hundredth_of_the_learning_rate(self) -> None:
        adam, adamw = weights([1.0], opt="adam"), weights([1.0], opt="adamw")
        assert adamw[0] == pytest.approx(adam[0] - LR * 0.01 * 1.0)

    @pytest.mark.parametrize("opt", OPTIMIZERS)
    def test_the_learning_rate_is_the_configured_one(self, opt: str) -> None:
        _, optimizer, schedule = make(opt=opt)
        assert optimizer.param_groups[0]["lr"] == schedule.lr == LR


class TestSchedules:
    def test_without_a_schedule_the_learning_rate_is_constant(self) -> None:
        assert set(rates("none", 3, 2)) == {LR}

    def test_plateau_halves_the_rate_after_each_three_epochs_without_a_lower_loss(self) -> None:
        _, optimizer, schedule = make(sched="plateau", epochs=9)
        found = drive(optimizer, schedule, [1.0, 2.0, 1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0], 1)
        assert [rate for rate, _ in found] == pytest.approx([LR] * 4 + [LR / 2] * 3 + [LR / 4] * 2)

    def test_plateau_restarts_its_count_after_every_lower_loss(self) -> None:
        _, optimizer, schedule = make(sched="plateau", epochs=12)
        losses = [loss - 1e-6 * count for count in range(4) for loss in (1.0, 1.0, 1.0)]
        assert {rate for rate, _ in drive(optimizer, schedule, losses, 1)} == {LR}

    def test_cosine_follows_half_a_cosine_step_by_step_to_zero(self) -> None:
        found = rates("cosine", 4, 5)
        expected = [LR / 2 * (1 + math.cos(math.pi * step / 20)) for step in range(21)]
        assert found == pytest.approx(expected, abs=1e-12)
        assert found[10] == pytest.approx(LR / 2)
        assert found[20] == pytest.approx(0, abs=1e-12)

    def test_the_rate_rises_in_equal_steps_in_the_warm_up_and_then_follows_the_cosine(self) -> None:
        _, optimizer, schedule = make(5, sched="cosine", epochs=4, warmup_epochs=1)
        found = [rate for rate, _ in drive(optimizer, schedule, [1.0] * 4, 5)]
        rising = [LR * step / 5 for step in range(1, 6)]
        falling = [LR / 2 * (1 + math.cos(math.pi * step / 15)) for step in range(15)]
        assert found == pytest.approx([*rising, *falling])
        assert schedule.lr == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize("stop", [1, 2, 3])
    def test_a_restored_warm_up_continues_exactly(self, stop: int) -> None:
        options = {"sched": "cosine", "epochs": 4, "warmup_epochs": 2}
        _, optimizer, schedule = make(3, **options)
        whole = drive(optimizer, schedule, [1.0] * 4, 3)
        _, optimizer, schedule = make(3, **options)
        before = drive(optimizer, schedule, [1.0] * stop, 3)
        groups, state = json.loads(json.dumps([optimizer.state_dict()["param_groups"], schedule.state()]))
        _, optimizer, schedule = make(3, **options)
        optimizer.load_state_dict({"state": {}, "param_groups": groups})
        schedule.restore(state)
        assert before + drive(optimizer, schedule, [1.0] * (4 - stop), 3) == whole

    def test_a_cosine_ends_at_eta_min(self) -> None:
        _, optimizer, schedule = make(5, sched="cosine", epochs=4, eta_min=0.02)
        found = [*(rate for rate, _ in drive(optimizer, schedule, [1.0] * 4, 5)), schedule.lr]
        expected = [0.02 + (LR - 0.02) / 2 * (1 + math.cos(math.pi * step / 20)) for step in range(21)]
        assert found == pytest.approx(expected)

    def test_a_cosine_by_epoch_is_constant_within_an_epoch(self) -> None:
        _, optimizer, schedule = make(3, sched="cosine", epochs=4, sched_by="epoch", eta_min=1e-6)
        found = [rate for rate, _ in drive(optimizer, schedule, [1.0] * 4, 3)]
        expected = [1e-6 + (LR - 1e-6) / 2 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
        assert found == pytest.approx([rate for rate in expected for _ in range(3)])
        assert schedule.lr == pytest.approx(1e-6)

    @pytest.mark.parametrize(("by", "moves"), [("step", 5), ("epoch", 1)])
    def test_a_warm_up_precedes_any_cosine(self, by: str, moves: int) -> None:
        _, optimizer, schedule = make(5, sched="cosine", epochs=5, warmup_epochs=2, sched_by=by, eta_min=0.02)
        found = [rate for rate, _ in drive(optimizer, schedule, [1.0] * 5, 5)]
        rising = [LR * move / (2 * moves) for move in range(1, 2 * moves + 1)]
        falling = [0.02 + 0.08 / 2 * (1 + math.cos(math.pi * move / (3 * moves))) for move in range(3 * moves)]
        assert found == pytest.approx([rate for rate in rising + falling for _ in range(5 // moves)])
        assert schedule.lr == pytest.approx(0.02)

    @pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")
    @pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
    def test_a_cosine_of_the_loss_is_torchs_cosine_with_the_loss_in_place_of_the_epoch(self) -> None:
        losses = [2.302585092994046, 0.0, 1.5, 11.0, 30.0, 3.25]
        _, optimizer, schedule = make(2, sched="loss-cosine", epochs=11)
        other = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
        theirs = torch.optim.lr_scheduler.CosineAnnealingLR(other, T_max=11, eta_min=1e-6)
        for loss in losses:
            drive(optimizer, schedule, [loss], 2)
            theirs.step(loss)  # type: ignore[arg-type]
            assert schedule.lr == other.param_groups[0]["lr"]

    def test_a_cosine_of_the_loss_starts_at_the_rate_and_hardly_changes_it(self) -> None:
        _, optimizer, schedule = make(2, sched="loss-cosine", epochs=30)
        found = [rate for rate, _ in drive(optimizer, schedule, [2.3, 1.0, 0.5], 2)]
        assert found[:2] == [LR, LR]
        assert found[2:] == sorted(found[2:])
        assert min(found) > 0.98 * LR

    @pytest.mark.parametrize("stop", [1, 2, 3])
    @pytest.mark.parametrize("warmup", [0, 2])
    def test_a_restored_cosine_by_epoch_continues_exactly(self, stop: int, warmup: int) -> None:
        options = {"sched": "cosine", "epochs": 4, "sched_by": "epoch", "eta_min": 1e-6, "warmup_epochs": warmup}
        _, optimizer, schedule = make(3, **options)
        whole = drive(optimizer, schedule, [1.0] * 4, 3)
        _, optimizer, schedule = make(3, **options)
        before = drive(optimizer, schedule, [1.0] * stop, 3)
        groups, state = json.loads(json.dumps([optimizer.state_dict()["param_groups"], schedule.state()]))
        _, optimizer, schedule = make(3, **options)
        optimizer.load_state_dict({"state": {}, "param_groups": groups})
        schedule.restore(state)
        assert before + drive(optimizer, schedule, [1.0] * (4 - stop), 3) == whole

    def test_onecycle_rises_to_the_rate_in_the_first_three_tenths_and_falls_to_almost_zero(self) -> None:
        found = rates("onecycle", 5, 20)[:-1]
        peak = found.index(max(found))
        assert found[peak] == pytest.approx(LR)
        assert peak == 29
        assert found[: peak + 1] == sorted(found[: peak + 1])
        assert found[peak:] == sorted(found[peak:], reverse=True)
        assert found[0] == pytest.approx(LR / 25)
        assert found[-1] < LR / 100_000

    def test_onecycle_keeps_its_last_rate_in_steps_beyond_its_end(self) -> None:
        _, optimizer, schedule = make(2, sched="onecycle", epochs=3)
        found = drive(optimizer, schedule, [1.0] * 5, 2)
        assert found[4] != found[5] == found[6] == found[9]

    @pytest.mark.parametrize("opt", OPTIMIZERS)
    def test_onecycle_moves_the_momentum_the_other_way(self, opt: str) -> None:
        _, optimizer, schedule = make(20, opt=opt, sched="onecycle", epochs=5)
        found = [momentum for _, momentum in drive(optimizer, schedule, [1.0] * 5, 20)]
        assert (found[0], min(found), found[-1]) == pytest.approx((0.95, 0.85, 0.95), abs=1e-3)
        assert found.index(min(found)) == 29

    @pytest.mark.parametrize("opt", OPTIMIZERS)
    @pytest.mark.parametrize("sched", SCHEDULES)
    def test_a_run_of_one_step_has_a_learning_rate_above_zero(self, sched: str, opt: str) -> None:
        _, optimizer, schedule = make(1, opt=opt, sched=sched, epochs=1)
        ((rate, _),) = drive(optimizer, schedule, [1.0], 1)
        assert LR / 100 < rate <= LR

    @pytest.mark.parametrize("opt", OPTIMIZERS)
    @pytest.mark.parametrize("sched", SCHEDULES)
    def test_a_state_restored_from_json_continues_exactly(self, sched: str, opt: str) -> None:
        losses = [3.0, 2.0, 2.5, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
        _, optimizer, schedule = make(3, opt=opt, sched=sched, epochs=10)
        whole = drive(optimizer, schedule, losses, 3)
        assert len(set(whole)) > 1 or sched == "none"

        _, optimizer, schedule = make(3, opt=opt, sched=sched, epochs=10)
        before = drive(optimizer, schedule, losses[:5], 3)
        groups, state = json.loads(json.dumps([optimizer.state_dict()["param_groups"], schedule.state()]))
        _, optimizer, schedule = make(3, opt=opt, sched=sched, epochs=10)
        optimizer.load_state_dict({"state": {}, "param_groups": groups})
        schedule.restore(state)
        assert before + drive(optimizer, schedule, losses[5:], 3) == whole
