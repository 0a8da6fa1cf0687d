"""Augmentation of batches: masks are neutral, fragments are mixed with one share, and an epoch is reproducible."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import TinyData, tiny_config, tiny_network
from torch import Tensor
from torch.nn.functional import cross_entropy

from genrekit.training.augment import BatchAugmentation, MixedBatch, draw_visible

NEUTRAL = torch.linspace(2, 3, 16)[:, None]
"""Mean of each mel band, which no input has."""


def augmentation(epoch: int = 1, seed: int = 0, **values: Any) -> BatchAugmentation:
    return BatchAugmentation(tiny_config(seed=seed, **values), NEUTRAL, epoch)


def mels(count: int = 500) -> Tensor:
    """Fragments of [16, 17] in [0, 1]."""
    return torch.rand(count, 16, 17, generator=torch.Generator().manual_seed(1))


def runs(hidden: Tensor) -> list[int]:
    """Return the length of the one masked range in each row of [B, length]; fail if a row has more than one."""
    edges = torch.nn.functional.pad(hidden.int(), (1, 1)).diff(dim=1)
    assert int((edges == 1).sum(dim=1).max()) <= 1
    return hidden.sum(dim=1).tolist()


@pytest.mark.parametrize(("option", "axis"), [("spec_freq_mask", 2), ("spec_time_mask", 1)])
def test_a_mask_is_one_range_of_any_allowed_width_at_any_index(option: str, axis: int) -> None:
    inputs = mels()
    found = augmentation(**{option: 5})(inputs, torch.zeros(500, dtype=torch.int64)).inputs
    changed = found != inputs
    hidden = changed.all(dim=axis)
    assert torch.equal(changed, hidden.unsqueeze(axis).expand_as(changed))
    widths = runs(hidden)
    assert set(widths) == {0, 1, 2, 3, 4, 5}
    assert np.bincount(widths) == pytest.approx(500 / 6, abs=40)
    assert hidden.any(dim=0).all()


@pytest.mark.parametrize("width", [1, 3, 16])
def test_a_mask_can_start_at_every_index_where_it_fits(width: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        hidden = draw_visible(20_000, 16, 16) == 0
    starts = hidden[hidden.sum(dim=1) == width].int().argmax(dim=1)
    counts = torch.bincount(starts, minlength=16)[: 17 - width]
    assert counts.sum() == len(starts)
    assert counts[:-1].tolist() == pytest.approx([float(counts[:-1].float().mean())] * (16 - width), rel=0.4)
    assert counts[-1] > 0


def test_masks_neither_depend_on_the_random_state_of_torch_nor_change_it() -> None:
    def masked(global_seed: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(global_seed)
            before = torch.get_rng_state()
            found = augmentation(spec_freq_mask=5, spec_time_mask=5)(mels(8), torch.arange(8)).inputs
            assert torch.equal(torch.get_rng_state(), before)
        return found

    assert torch.equal(masked(1), masked(2))


def test_masks_of_both_kinds_are_combined_and_have_the_means_of_the_bands() -> None:
    inputs = mels()
    found = augmentation(spec_freq_mask=4, spec_time_mask=4)(inputs, torch.zeros(500, dtype=torch.int64)).inputs
    hidden = found != inputs
    assert torch.equal(found[hidden], NEUTRAL.expand_as(inputs)[hidden])
    assert max(runs(hidden.all(dim=2))) == max(runs(hidden.all(dim=1))) == 4
    assert (hidden.all(dim=2).any(dim=1) & hidden.all(dim=1).any(dim=1)).any()


def test_masked_areas_are_zero_after_standardization() -> None:
    """After the first layer it is 0, whatever the statistics of the training set are."""
    model = tiny_network(tiny_config())
    model.standardize.set_statistics(NEUTRAL, torch.linspace(0, 0.5, 16)[:, None])
    inputs = mels(20)
    found = augmentation(spec_time_mask=6)(inputs, torch.zeros(20, dtype=torch.int64)).inputs
    assert (model.standardize(found)[found != inputs] == 0).all()
    assert (found != inputs).any()


@pytest.mark.parametrize("standardize", [True, False])
def test_masked_areas_of_a_power_spectrogram_are_zero_too(standardize: bool) -> None:
    """Without statistics the mean is 0, so masked areas are silence."""
    model = tiny_network(tiny_config(input="stft", standardize=standardize))
    if standardize:
        model.standardize.set_statistics(torch.linspace(2, 300, 201)[:, None], torch.linspace(0, 50, 201)[:, None])
    inputs = 0.5 + torch.rand(20, 201, 21, generator=torch.Generator().manual_seed(1))
    config = tiny_config(input="stft", spec_freq_mask=40, spec_time_mask=6)
    found = BatchAugmentation(config, model.standardize.mean, 1)(inputs, torch.zeros(20, dtype=torch.int64)).inputs
    assert (model.standardize(found)[found != inputs] == 0).all()
    assert ((found == 0) == (found != inputs)).all() or standardize
    assert (found != inputs).any()


def test_mixup_weights_fragments_and_their_losses_with_the_same_share() -> None:
    inputs, targets = mels(8), torch.arange(8)
    mixed = augmentation(mixup=0.4)(inputs, targets)
    assert mixed.others is not None
    assert 0.5 <= mixed.share <= 1
    expected = mixed.share * inputs[mixed.targets] + (1 - mixed.share) * inputs[mixed.others]
    torch.testing.assert_close(mixed.inputs, expected)
    assert sorted(mixed.targets.tolist()) == sorted(mixed.others.tolist()) == list(range(8))
    logits = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    soft = mixed.share * torch.eye(8)[mixed.targets] + (1 - mixed.share) * torch.eye(8)[mixed.others]
    found = mixed.loss(lambda genres: cross_entropy(logits, genres))
    assert found.item() == pytest.approx(cross_entropy(logits, soft).item(), rel=1e-5)


def test_shares_are_beta_distributed() -> None:
    """The share is the larger of lambda and 1 - lambda. For alpha 1 it is uniform from 0.5 to 1, for a small alpha it
    is close to 1.
    """
    for alpha, low, high in ((1.0, 0.73, 0.77), (0.01, 0.98, 1.0), (100.0, 0.5, 0.55)):
        augment = augmentation(mixup=alpha)
        shares = [augment(mels(2), torch.arange(2)).share for _ in range(1000)]
        assert low <= np.mean(shares) <= high


def test_masks_are_not_mixed() -> None:
    inputs = mels(50)
    mixed = augmentation(mixup=1.0, spec_freq_mask=8)(inputs, torch.arange(50))
    assert mixed.others is not None
    whole = mixed.share * inputs[mixed.targets] + (1 - mixed.share) * inputs[mixed.others]
    hidden = ~torch.isclose(mixed.inputs, whole)
    assert hidden.any()
    assert torch.equal(mixed.inputs[hidden], NEUTRAL.expand_as(inputs)[hidden])


def test_gain_is_drawn_for_each_fragment_in_both_directions_up_to_its_limit() -> None:
    inputs = torch.full((500, 8), 0.9)
    found = augmentation(input="waveform", gain_db=6.0)(inputs, torch.zeros(500, dtype=torch.int64)).inputs
    assert found.dtype == torch.float32
    assert (found == found[:, :1]).all()
    gain_db = 20 * (found[:, 0] / 0.9).log10()
    assert float(gain_db.min()) == pytest.approx(-6, abs=0.1)
    assert float(gain_db.max()) == pytest.approx(6, abs=0.1)
    assert float(gain_db.mean()) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("kind", ["mel", "waveform", "stft"])
def test_noise_is_white_and_has_the_configured_deviation(kind: str) -> None:
    shape = (40, 500) if kind == "waveform" else (40, 16, 17)
    inputs = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    found = augmentation(input=kind, noise_std=0.05)(inputs, torch.zeros(40, dtype=torch.int64)).inputs
    noise = (found - inputs).flatten().numpy()
    assert found.dtype == torch.float32
    assert noise.std() == pytest.approx(0.05, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.05
    assert np.mean(np.abs(noise) < 0.05) == pytest.approx(0.683, abs=0.02)


def test_noise_differs_between_batches_and_epochs_and_is_reproducible() -> None:
    def noise(**values: int) -> list[Tensor]:
        augment = augmentation(noise_std=0.1, **values)
        return [augment(torch.zeros(4, 16, 17), torch.arange(4)).inputs for _ in range(2)]

    first = noise()
    assert all(torch.equal(one, again) for one, again in zip(first, noise(), strict=True))
    assert not torch.equal(*first)
    assert not torch.equal(first[0], noise(epoch=2)[0])
    assert not torch.equal(first[0], noise(seed=1)[0])


def test_masks_hide_the_noise_too() -> None:
    inputs = mels(50)
    found = augmentation(noise_std=0.01, spec_time_mask=8)(inputs, torch.arange(50)).inputs
    hidden = (found == NEUTRAL).all(dim=1)
    assert max(runs(hidden)) > 1
    assert float((found - inputs).abs()[~hidden[:, None, :].expand_as(inputs)].max()) < 0.1


def test_noise_is_added_after_mixing() -> None:
    inputs = mels(40)
    plain = augmentation(mixup=1.0)(inputs, torch.arange(40))
    noisy = augmentation(mixup=1.0, noise_std=0.05)(inputs, torch.arange(40))
    assert noisy.share == plain.share
    assert float((noisy.inputs - plain.inputs).std()) == pytest.approx(0.05, rel=0.05)


def test_the_given_batch_does_not_change() -> None:
    inputs = mels(8)
    augmentation(spec_freq_mask=8, mixup=1.0, noise_std=1.0)(inputs, torch.arange(8))
    assert torch.equal(inputs, mels(8))


def test_an_epoch_is_reproducible_and_other_epochs_differ() -> None:
    def batches(**values: int) -> list[MixedBatch]:
        augment = augmentation(spec_freq_mask=5, spec_time_mask=5, mixup=0.5, **values)
        return [augment(mels(4), torch.arange(4)) for _ in range(2)]

    first = batches()
    for one, again in zip(first, batches(), strict=True):
        assert torch.equal(one.inputs, again.inputs)
        assert one.share == again.share
    assert len({first[0].share, first[1].share, batches(epoch=2)[0].share, batches(seed=1)[0].share}) == 4


def test_the_loss_of_a_batch_that_is_not_mixed_is_the_plain_loss() -> None:
    data = TinyData()
    assert MixedBatch(data.inputs, data.targets).loss(lambda genres: genres) is data.targets
