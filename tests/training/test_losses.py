"""The loss that is trained on, compared with its formula."""

import pytest
import torch
from tiny_training import TinyData
from torch.nn.functional import cross_entropy

from genrekit.training.losses import balanced_weights, trained_loss

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0], [1.0, 1.0, 1.0]])
TARGETS = torch.tensor([0, 1, 2])


def test_balanced_weights_give_each_genre_the_same_sum() -> None:
    """As scikit-learn's: n / (k * n_c)."""
    counts = torch.tensor([1, 2, 5])
    weights = balanced_weights(counts)
    assert weights.tolist() == pytest.approx([8 / 3, 8 / 6, 8 / 15])
    assert (weights * counts).tolist() == pytest.approx([8 / 3] * 3)


def test_a_genre_without_fragments_does_not_change_the_weights_of_the_others() -> None:
    assert balanced_weights(torch.tensor([1, 0, 3])).tolist() == pytest.approx([2.0, 0.0, 2 / 3])


def test_smoothing_gives_a_share_of_the_label_to_all_genres() -> None:
    soft = 0.7 * torch.eye(3)[TARGETS] + 0.3 / 3
    expected = -(soft * LOGITS.log_softmax(1)).sum(1).mean()
    assert trained_loss(LOGITS, TARGETS, 0.3, None).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weights_multiply_the_loss_of_each_fragment_and_the_mean_is_over_fragments(smoothing: float) -> None:
    weights = torch.tensor([0.5, 2.0, 4.0])
    each = [
        cross_entropy(LOGITS[[row]], TARGETS[[row]], label_smoothing=smoothing).item() * weights[TARGETS[row]].item()
        for row in range(3)
    ]
    assert trained_loss(LOGITS, TARGETS, smoothing, weights).item() == pytest.approx(sum(each) / 3)


def test_balanced_weights_of_balanced_genres_change_nothing() -> None:
    assert balanced_weights(TinyData().genre_counts).tolist() == [1.0, 1.0]
