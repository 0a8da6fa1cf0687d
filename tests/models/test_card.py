"""The model card says what the bundle says, and nobody needs it."""

import html
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from markdown_it import MarkdownIt
from tiny_bundle import describe, lived_in
from tiny_training import FRONT_END, tiny_config

from genrekit.models.bundle import load_bundle, save_bundle
from genrekit.models.card import model_card
from genrekit.models.leaderboard import keep_best


def parts(card: str) -> tuple[Any, str]:
    """A card's head, read, and its body."""
    _, head, body = card.split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_head_is_what_model_hubs_read() -> None:
    head, _ = parts(model_card(describe(tiny_config(arch="cel3"))))
    assert (head["library_name"], head["pipeline_tag"]) == ("genrekit", "audio-classification")
    assert {"music", "genre", "cel3"} <= set(head["tags"])
    assert head["metrics"] == ["accuracy"]
    (model,) = head["model-index"]
    (result,) = model["results"]
    assert result["dataset"]["name"] == "validation set, artist, seed 3 split"
    assert [metric["value"] for metric in result["metrics"]] == [0.5, 0.5]
    assert "license" not in head


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"arch": "cel", "input": "mel"}, "Mel spectrograms of 16 bands from 30 to 500 Hz", id="mel"),
        pytest.param({"arch": "cel", "input": "waveform"}, "peak at 1. The waveform itself.", id="waveform"),
        pytest.param({"arch": "lda"}, "A classical model (lda, ", id="classical"),
    ],
)
def test_the_body_says_what_it_is_and_how_good(values: dict[str, Any], says: str) -> None:
    _, body = parts(model_card(describe(tiny_config(**values))))
    assert says in " ".join(body.split())
    assert "one of 2: blues, rock" in body
    assert "| per track | 50.0 % | 25.0 to 75.0 % |" in body
    assert "- Training: 2 tracks\n- Validation: 1 tracks" in body
    for title in ("Data", "Figures", "Intended use", "Limits", "How to load"):
        assert f"\n## {title}\n" in body


def test_genres_of_any_script_and_with_signs_of_yaml_are_no_trouble() -> None:
    head, body = parts(model_card(describe(tiny_config(), genres=('R&B: "soul"', "ロック"))))
    assert head["library_name"] == "genrekit"
    assert 'one of 2: R&B: "soul", ロック' in html.unescape(MarkdownIt("commonmark").render(body))


def test_a_genre_that_is_markup_is_only_a_name() -> None:
    _, body = parts(model_card(describe(tiny_config(), genres=("<script>alert(1)</script>", "*a*"))))
    markup = MarkdownIt("commonmark").render(body)
    assert "<script" not in markup
    assert "one of 2: <script>alert(1)</script>, *a*" in html.unescape(markup)


def test_a_bundle_is_loaded_with_another_card_or_none_and_kept_with_its_own(tmp_path: Path) -> None:
    config = tiny_config(arch="cel")
    save_bundle(tmp_path / "best", lived_in(config), describe(config))
    written = (tmp_path / "best" / "README.md").read_text(encoding="utf-8")
    assert written == model_card(describe(config))
    assert str(tmp_path) not in written
    kept = keep_best(tmp_path / "best", tmp_path / "best_models")
    assert kept is not None
    assert (kept / "README.md").read_text(encoding="utf-8") == written
    inputs = torch.rand(2, *FRONT_END.shape("mel"))
    before = load_bundle(tmp_path / "best").model(inputs)
    (tmp_path / "best" / "README.md").write_text(json.dumps({"format_version": 99}))
    assert torch.equal(load_bundle(tmp_path / "best").model(inputs), before)
    (tmp_path / "best" / "README.md").unlink()
    assert torch.equal(load_bundle(tmp_path / "best").model(inputs), before)
