"""Configurations refuse what no run could accept, in one line, and know the facts that follow from them."""

import json
import math
import re
from typing import Any, get_args, get_type_hints

import librosa
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from registered import CLASSICAL, CONVOLUTIONAL, NETWORKS

from genrekit.config import (
    AUGMENTATIONS,
    Augmentation,
    Config,
    FeatureConfig,
    Input,
    Option,
    PrepareConfig,
    TrainConfig,
    TrainOptions,
    fields_with,
    option_of,
)
from genrekit.config.architectures import LAYERS
from genrekit.config.stored import stored_values
from genrekit.errors import UsageError

ALL: list[type[Config]] = [FeatureConfig, Augmentation, PrepareConfig, TrainConfig]


def refusal(schema: type[Config], values: dict[str, Any]) -> str:
    """The one line with which values are refused."""
    with pytest.raises(UsageError) as caught:
        schema.of(values)
    message = str(caught.value)
    assert "\n" not in message
    return message


ABOVE, AT_LEAST = "input should be greater than", "input should be greater than or equal to"
BELOW, AT_MOST = "input should be less than", "input should be less than or equal to"

RANGES: list[tuple[type[Config], str, Any, str, Any, str]] = [
    # schema, key, its smallest value and one below it, its largest and one above
    (FeatureConfig, "sample_rate", (1_000, 999), f"{AT_LEAST} 1000", (384_000, 384_001), f"{AT_MOST} 384000"),
    (FeatureConfig, "duration_s", (0.05, 0), f"{ABOVE} 0", (600, 600.5), f"{AT_MOST} 600"),
    (FeatureConfig, "n_mels", (1, 0), f"{AT_LEAST} 1", (1_024, 1_025), f"{AT_MOST} 1024"),
    (FeatureConfig, "hop_length", (1, 0), f"{AT_LEAST} 1", (2_048, None), ""),
    (FeatureConfig, "fmin", (0, -1), f"{AT_LEAST} 0", (11_000, None), ""),
    (FeatureConfig, "fmax", (31, 0), f"{ABOVE} 0", (11_025, None), ""),
    (FeatureConfig, "top_db", (0.5, 0), f"{ABOVE} 0", (200, 200.5), f"{AT_MOST} 200"),
    (Augmentation, "augment_seed", (0, -1), f"{AT_LEAST} 0", (2**70, None), ""),
    (TrainConfig, "dropout", (0, -0.1), f"{AT_LEAST} 0", (0.999, 1), f"{BELOW} 1"),
    (TrainConfig, "lr", (1e-9, 0), f"{ABOVE} 0", (1e9, None), ""),
    (TrainConfig, "batch_size", (1, 0), f"{AT_LEAST} 1", (10**6, None), ""),
    (TrainConfig, "epochs", (1, 0), f"{AT_LEAST} 1", (10**6, None), ""),
    (TrainConfig, "patience", (0, -1), f"{AT_LEAST} 0", (10**6, None), ""),
    (TrainConfig, "l1", (0, -1), f"{AT_LEAST} 0", (1e9, None), ""),
    (TrainConfig, "l2", (0, -1), f"{AT_LEAST} 0", (1e9, None), ""),
    (TrainConfig, "warmup_epochs", (0, -1), f"{AT_LEAST} 0", (19, None), ""),
    (TrainConfig, "eta_min", (0, -1), f"{AT_LEAST} 0", (9e-4, None), ""),
    (TrainConfig, "clip_norm", (0, -1), f"{AT_LEAST} 0", (1e9, None), ""),
    (TrainConfig, "ema", (0, -0.1), f"{AT_LEAST} 0", (0.9999, 1), f"{BELOW} 1"),
    (TrainConfig, "label_smoothing", (0, -0.1), f"{AT_LEAST} 0", (0.999, 1), f"{BELOW} 1"),
    (TrainConfig, "spec_freq_mask", (0, -1), f"{AT_LEAST} 0", (10**6, None), ""),
    (TrainConfig, "spec_time_mask", (0, -1), f"{AT_LEAST} 0", (10**6, None), ""),
    (TrainConfig, "mixup", (0, -0.1), f"{AT_LEAST} 0", (1e9, None), ""),
    (TrainConfig, "gain_db", (0, -1), f"{AT_LEAST} 0", (60, 60.5), f"{AT_MOST} 60"),
    (TrainConfig, "noise_std", (0, -1), f"{AT_LEAST} 0", (1e9, None), ""),
    (TrainConfig, "altered_tempo", (0.25, 0.2), f"{AT_LEAST} 0.25", (4, 4.5), f"{AT_MOST} 4"),
    (TrainConfig, "altered_pitch", (-24, -24.5), f"{AT_LEAST} -24", (24, 24.5), f"{AT_MOST} 24"),
    (TrainConfig, "seed", (0, -1), f"{AT_LEAST} 0", (2**63 - 1, 2**63), f"{BELOW} {2**63}"),
    (TrainConfig, "split_seed", (0, -1), f"{AT_LEAST} 0", (2**63 - 1, 2**63), f"{BELOW} {2**63}"),
]


@pytest.mark.parametrize(
    ("schema", "key", "low", "too_low", "high", "too_high"),
    RANGES,
    ids=[f"{row[0].__name__}.{row[1]}" for row in RANGES],
)
def test_a_number_is_taken_up_to_its_limits_and_refused_beyond(
    schema: type[Config], key: str, low: Any, too_low: str, high: Any, too_high: str
) -> None:
    # A limit that others depend on is reached with neighbours that let it be.
    neighbours: dict[str, dict[str, Any]] = {
        "sample_rate": {"n_fft": 64, "hop_length": 32},
        "warmup_epochs": {"sched": "cosine"},
        "eta_min": {"sched": "cosine"},
        "gain_db": {"input": "waveform"},
        "altered_tempo": {"input": "waveform"},
        "altered_pitch": {"input": "waveform"},
    }
    beside: dict[str, Any] = neighbours.get(key, {})
    for value, beyond, message in ((*low, too_low), (*high, too_high)):
        assert getattr(schema.of({**beside, key: value}), key) == value
        if beyond is not None:
            assert refusal(schema, {**beside, key: beyond}) == f"{key}: {message}, got {beyond!r}"


@pytest.mark.parametrize("n_fft", [16, 65_536])
def test_a_window_is_taken_up_to_its_limits(n_fft: int) -> None:
    assert FeatureConfig.of({"n_fft": n_fft, "hop_length": 16}).n_fft == n_fft


REFUSED = [
    pytest.param(FeatureConfig, {"n_fft": 15}, f"n_fft: {AT_LEAST} 16, got 15", id="n_fft-small"),
    pytest.param(FeatureConfig, {"n_fft": 65_537}, f"n_fft: {AT_MOST} 65536, got 65537", id="n_fft-large"),
    pytest.param(
        FeatureConfig,
        {"hop_length": 2_049},
        "hop_length must be at most n_fft (2048), got 2049",
        id="hop-longer-than-the-window",
    ),
    pytest.param(
        FeatureConfig,
        {"fmin": 300, "fmax": 300},
        "fmax must be above fmin (300 Hz) and at most half the sample rate (11025 Hz), got 300",
        id="fmax-not-above-fmin",
    ),
    pytest.param(
        FeatureConfig,
        {"sample_rate": 8_000, "fmax": 4_001},
        "fmax must be above fmin (30 Hz) and at most half the sample rate (4000 Hz), got 4001",
        id="fmax-above-nyquist",
    ),
    pytest.param(
        FeatureConfig,
        {"fmin": 11_025},
        "fmax must be above fmin (11025 Hz) and at most half the sample rate (11025 Hz), got 11025",
        id="fmin-at-nyquist",
    ),
    pytest.param(
        FeatureConfig,
        {"sample_rate": 1_000, "n_fft": 100, "hop_length": 50, "duration_s": 0.05},
        "duration_s must be longer than half an analysis window (0.05 s), got 0.05",
        id="fragment-shorter-than-half-a-window",
    ),
    pytest.param(
        FeatureConfig,
        {"normalization": "peek"},
        "unknown normalization 'peek': did you mean peak? (choices: peak, rms, none)",
        id="normalization",
    ),
    pytest.param(
        FeatureConfig,
        {"db_reference": "tracks"},
        "unknown db_reference 'tracks': did you mean track? (choices: track, fragment)",
        id="db_reference",
    ),
    pytest.param(
        Augmentation,
        {"time_stretch": (0.2, 1.0)},
        "time_stretch must be two rising numbers in 0.25..4, got 0.2,1",
        id="time_stretch",
    ),
    pytest.param(
        Augmentation,
        {"pitch_shift": "-2,25"},
        "pitch_shift must be two rising numbers in -24..24, got -2,25",
        id="pitch_shift",
    ),
    pytest.param(
        Augmentation, {"noise": (50, 30)}, "noise must be two rising numbers in -20..120, got 50,30", id="noise-falls"
    ),
    pytest.param(
        Augmentation,
        {"resampling": [0.5, 1.1]},
        "resampling must be two rising numbers in 0.05..1, got 0.5,1.1",
        id="resampling",
    ),
    pytest.param(Augmentation, {"noise": "30"}, "noise: a value is missing after 30", id="one-number"),
    pytest.param(
        Augmentation,
        {"noise": (1, 2, 3)},
        "noise: tuple should have at most 2 items after validation, not 3, got (1, 2, 3)",
        id="three-numbers",
    ),
    *(
        pytest.param(
            PrepareConfig,
            {"fragments": value},
            f"fragments must be all, first or a number from 1, got {value!r}",
            id=f"fragments-{value}",
        )
        for value in ("some", "", "0", 0, -1, 1.5, True, None)
    ),
    pytest.param(
        TrainConfig,
        {"arch": "cell"},
        "unknown arch 'cell': did you mean cel, cel3 or cel2? "
        "(choices: mlp, mlp2, cel, cel2, cel3, logreg, lda, svm, forest)",
        id="arch",
    ),
    pytest.param(TrainConfig, {"input": "mell"}, "unknown input 'mell': did you mean mel? ", id="input"),
    pytest.param(TrainConfig, {"opt": "adan"}, "unknown opt 'adan': did you mean adam or adamw? ", id="opt"),
    pytest.param(
        TrainConfig,
        {"monitor": "last", "patience": 10},
        "patience must be 0 with monitor last, which has no best epoch, got 10",
        id="monitor-last-with-patience",
    ),
    pytest.param(
        TrainConfig,
        {"sched": "cosin"},
        "unknown sched 'cosin': did you mean cosine? (choices: none, plateau, cosine, onecycle)",
        id="sched",
    ),
    pytest.param(
        TrainConfig, {"input": "wave"}, "unknown input 'wave': did you mean waveform? (choices: mel, waveform)", id="in"
    ),
    pytest.param(TrainConfig, {"monitor": "accuracy"}, "unknown monitor 'accuracy': did you mean track_", id="monitor"),
    pytest.param(
        TrainConfig, {"split": "fault_filtered"}, "unknown split 'fault_filtered': did you mean fault-", id="split"
    ),
    pytest.param(TrainConfig, {"device": "gpu"}, "unknown device 'gpu': ", id="device"),
    pytest.param(TrainConfig, {"hidden": "64,0"}, f"hidden.1: {ABOVE} 0, got '0'", id="width-0"),
    pytest.param(TrainConfig, {"hidden": [10**30]}, f"hidden.0: {AT_MOST} 1000000, got {10**30}", id="width-huge"),
    pytest.param(TrainConfig, {"channels": "16,,32"}, "channels.1: input should be a valid integer", id="no-number"),
    pytest.param(TrainConfig, {"channels": 16}, "channels: input should be a list, got 16", id="not-a-list"),
    pytest.param(TrainConfig, {"epochs": 2.5}, "epochs: input should be a valid integer", id="half-an-epoch"),
    *(
        pytest.param(
            TrainConfig,
            {"arch": arch, "channels": "none"},
            f"channels must name at least one convolution block for {arch}, got none",
            id=f"{arch}-without-blocks",
        )
        for arch in CONVOLUTIONAL
    ),
    pytest.param(
        TrainConfig,
        {"arch": "mlp2", "channels": (16, 32)},
        "channels must be none for mlp2, which has no convolutions, got (16, 32)",
        id="blocks-without-convolutions",
    ),
    pytest.param(
        TrainConfig,
        {"arch": "lda", "input": "waveform"},
        "input must be mel for lda, got waveform",
        id="classical-on-waveforms",
    ),
    *(
        pytest.param(
            TrainConfig,
            {"arch": "forest", name: value},
            f"{name} is for networks: leave it out for forest, which is fitted once, got {shown}",
            id=f"classical-with-{name}",
        )
        for name, value, shown in (
            ("hidden", "8,4", "(8, 4)"),
            ("dropout", 0.5, "0.5"),
            ("opt", "sgd", "sgd"),
            ("sched", "cosine", "cosine"),
            ("lr", 0.5, "0.5"),
            ("batch_size", 8, "8"),
            ("epochs", 5, "5"),
            ("patience", 3, "3"),
            ("monitor", "track_accuracy", "track_accuracy"),
            ("l1", 0.1, "0.1"),
            ("log_gradients", True, "True"),
            ("l2", 0.1, "0.1"),
            ("standardize", False, "False"),
            ("penalty", "norms", "norms"),
            ("sched_by", "epoch", "epoch"),
            ("noise_std", 0.1, "0.1"),
            ("altered_tempo", 1.2, "1.2"),
            ("altered_pitch", -2, "-2.0"),
        )
    ),
    pytest.param(
        TrainConfig,
        {"arch": "mlp", "hidden": "64"},
        "hidden must be two widths for mlp (three linear layers), got 1",
        id="mlp-has-three-layers",
    ),
    pytest.param(
        TrainConfig,
        {"arch": "mlp2", "batch_size": 1},
        "batch_size must be at least 2 for mlp2, whose batch norm compares fragments, got 1",
        id="mlp2-compares-fragments",
    ),
    *(
        pytest.param(TrainConfig, {"nesterov": True, "opt": opt}, f"nesterov needs opt sgd, got {opt}", id=f"{opt}-n")
        for opt in ("adam", "adamw")
    ),
    *(
        pytest.param(
            TrainConfig,
            {"warmup_epochs": 1, "sched": sched},
            f"warmup_epochs needs sched cosine, got {sched}",
            id=f"warm-up-{sched}",
        )
        for sched in ("none", "plateau", "onecycle", "loss-cosine")
    ),
    *(
        pytest.param(
            TrainConfig, {key: value, "sched": sched}, f"{said} needs sched cosine, got {sched}", id=f"{key}-{sched}"
        )
        for key, value, said in (("sched_by", "epoch", "sched_by epoch"), ("eta_min", 1e-6, "eta_min"))
        for sched in ("none", "plateau", "onecycle", "loss-cosine")
    ),
    pytest.param(
        TrainConfig,
        {"sched": "cosine", "eta_min": 0.03, "opt": "sgd"},
        "eta_min must be below lr (0.03), got 0.03",
        id="eta_min-lr",
    ),
    pytest.param(
        TrainConfig,
        {"warmup_epochs": 5, "sched": "cosine", "epochs": 5},
        "warmup_epochs must be less than epochs (5), got 5",
        id="warm-up-all-the-time",
    ),
    pytest.param(
        TrainConfig,
        {"penalty": "norm"},
        "unknown penalty 'norm': did you mean norms? (choices: weights, norms)",
        id="penalty",
    ),
    pytest.param(
        TrainConfig,
        {"class_weights": "balance"},
        "unknown class_weights 'balance': did you mean balanced? (choices: none, balanced)",
        id="class-weights",
    ),
    *(
        pytest.param(
            TrainConfig,
            {"input": "waveform", name: 3},
            f"{name} must be 0 for waveform, which has no bands, got 3",
            id=f"{name}-waveform",
        )
        for name in ("spec_freq_mask", "spec_time_mask")
    ),
    pytest.param(
        TrainConfig,
        {"gain_db": 3},
        "gain_db must be 0 for mel, whose dB are relative to the loudest value, got 3",
        id="gain-mel",
    ),
    pytest.param(
        TrainConfig, {"input": "stft", "gain_db": 3}, "gain_db needs input waveform, got stft", id="gain-stft"
    ),
    pytest.param(
        TrainConfig,
        {"input": "stft", "random_start": True},
        "random_start needs input waveform, got stft",
        id="random-start-stft",
    ),
    *(
        pytest.param(
            TrainConfig,
            {"input": kind, **altered},
            f"altered_tempo and altered_pitch need input waveform, got {kind}",
            id=f"{next(iter(altered))}-{kind}",
        )
        for kind in ("mel", "stft")
        for altered in ({"altered_tempo": 1.2}, {"altered_pitch": 2})
    ),
    pytest.param(
        TrainConfig,
        {"input": "waveform", "random_start": True, "altered_pitch": 2},
        "random_start must be off with altered_tempo or altered_pitch: ",
        id="random-start-altered",
    ),
    pytest.param(
        TrainConfig,
        {"random_start": True},
        "random_start must be off for mel: fragments are padded by reflection, so they cannot be joined",
        id="random-start-mel",
    ),
]


@pytest.mark.parametrize(("schema", "values", "message"), REFUSED)
def test_what_no_run_could_accept_is_refused_with_the_name_the_value_and_the_limit(
    schema: type[Config], values: dict[str, Any], message: str
) -> None:
    assert refusal(schema, values).startswith(message)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "inf"], ids=str)
@pytest.mark.parametrize(
    ("schema", "key"),
    [
        (schema, key)
        for schema in ALL
        for key, field in schema.model_fields.items()
        if field.annotation in (float, float | None)
    ],
    ids=str,
)
def test_no_number_may_be_nan_or_infinite(schema: type[Config], key: str, value: object) -> None:
    assert refusal(schema, {key: value}) == f"{key}: input should be a finite number, got {value!r}"


@pytest.mark.parametrize("key", AUGMENTATIONS)
def test_no_end_of_a_range_may_be_nan(key: str) -> None:
    assert refusal(Augmentation, {key: (math.nan, 1)}).startswith(f"{key}.0: input should be a finite number")


@pytest.mark.parametrize("key", ["arch", "input", "opt", "sched"])
def test_a_list_where_a_name_belongs_is_refused(key: str) -> None:
    assert refusal(TrainConfig, {key: ["cel", "cel2"]}).startswith(f"unknown {key} \"['cel', 'cel2']\"")


class TestKeys:
    @pytest.mark.parametrize(
        ("schema", "values", "message"),
        [
            (TrainConfig, {"epoch": 3}, "unknown key 'epoch': did you mean epochs"),
            (FeatureConfig, {"hop_lenght": 3}, "unknown key 'hop_lenght': did you mean hop_length"),
            (PrepareConfig, {"frontend": {}}, "unknown key 'frontend': did you mean front_end"),
            (TrainConfig, {"qqq": 3}, "unknown key 'qqq' (choices: arch, input, hidden, "),
        ],
        ids=["epochs", "hop_length", "front_end", "nothing-close"],
    )
    def test_an_unknown_key_is_refused_with_its_close_match(
        self, schema: type[Config], values: dict[str, Any], message: str
    ) -> None:
        assert refusal(schema, values).startswith(message)

    def test_an_unknown_key_within_a_part_is_compared_with_that_parts_keys(self) -> None:
        message = refusal(PrepareConfig, {"front_end": {"hop_lenght": 256}})
        assert message.startswith(
            "unknown key of front_end 'hop_lenght': did you mean hop_length? (choices: sample_rate,"
        )

    def test_a_value_within_a_part_is_named_with_its_part(self) -> None:
        message = refusal(PrepareConfig, {"front_end": {"n_mels": 0}})
        assert message == f"front_end.n_mels: {AT_LEAST} 1, got 0"

    def test_a_missing_key_is_named_without_all_the_others(self) -> None:
        class Strict(Config):
            wanted: int
            large: dict[str, str]

        assert refusal(Strict, {"large": {"track": "digest"}}) == "wanted: field required"


class TestDefaults:
    @pytest.mark.parametrize(
        ("values", "hidden", "channels", "lr"),
        [
            ({}, (), (32, 64), 3e-3),
            ({"arch": "mlp", "sched": "cosine"}, (256, 128), (), 1e-3),
            ({"arch": "mlp2", "input": "waveform", "opt": "sgd"}, (512, 256), (), 3e-2),
            ({"arch": "cel2", "input": "waveform"}, (), (16, 32, 32, 64, 64, 64, 64, 64), 3e-3),
            ({"arch": "cel3", "opt": "adamw", "lr": None}, (), (32, 64), 3e-3),
            ({"hidden": "64", "channels": "8,16", "lr": "0.5"}, (64,), (8, 16), 0.5),
            ({"arch": "mlp2", "hidden": " None ", "channels": ""}, (), (), 3e-3),
            ({"arch": "mlp", "hidden": [4, 2]}, (4, 2), (), 3e-3),
        ],
        ids=["none", "mlp", "mlp2", "cel2", "cel3", "given", "none-by-name", "list"],
    )
    def test_what_depends_on_others_is_spelled_out(
        self, values: dict[str, Any], hidden: tuple[int, ...], channels: tuple[int, ...], lr: float
    ) -> None:
        config = TrainConfig.of(values)
        assert (config.hidden, config.channels, config.lr) == (hidden, channels, lr)
        assert (config.hidden_widths, config.block_channels, config.learning_rate) == (hidden, channels, lr)

    @pytest.mark.parametrize("arch", NETWORKS)
    @pytest.mark.parametrize("kind", get_args(Input))
    def test_every_architecture_has_defaults_that_are_accepted(self, arch: str, kind: str) -> None:
        assert TrainConfig.of({"arch": arch, "input": kind}).arch == arch

    @pytest.mark.parametrize("arch", CLASSICAL)
    def test_a_classical_model_has_one_epoch_and_comes_back_from_its_json(self, arch: str) -> None:
        config = TrainConfig.of({"arch": arch})
        assert (config.epochs, config.hidden, config.channels) == (1, (), ())
        assert TrainConfig.of(config.model_dump(mode="json")) == config

    def test_a_front_end_is_gtzans_five_seconds(self) -> None:
        front_end = FeatureConfig()
        assert (front_end.n_samples, front_end.n_frames, front_end.fmax_hz) == (110_250, 216, 11_025)

    def test_nothing_is_augmented_unless_asked(self) -> None:
        assert Augmentation().variants == ("original",)
        assert Augmentation(augment=True).variants == ("original", *AUGMENTATIONS)


@pytest.mark.parametrize(("text", "value"), [("all", "all"), ("first", "first"), ("7", 7), (7, 7)])
def test_fragments_are_named_or_counted(text: object, value: object) -> None:
    assert PrepareConfig.of({"fragments": text}).fragments == value


@pytest.mark.parametrize("schema", ALL, ids=lambda schema: schema.__name__)
class TestEverySchema:
    def test_a_configuration_cannot_be_changed(self, schema: type[Config]) -> None:
        config = schema.of({})
        for key in schema.model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(config, key, getattr(config, key))

    def test_a_configuration_comes_back_from_json(self, schema: type[Config]) -> None:
        config = schema.of({})
        text = json.dumps(config.model_dump(mode="json"), allow_nan=False)
        again = schema.of(json.loads(text))
        assert again == config
        assert hash(again) == hash(config)

    def test_every_key_has_a_help_text_that_is_a_sentence(self, schema: type[Config]) -> None:
        for field in schema.model_fields.values():
            if not (isinstance(field.annotation, type) and issubclass(field.annotation, Config)):
                assert field.description
                assert field.description.endswith(".")


def test_a_changed_configuration_comes_back_from_json() -> None:
    config = TrainConfig.of({"arch": "mlp2", "hidden": "none", "opt": "sgd", "lr": 0.1 + 0.2, "seed": 2**63 - 1})
    assert TrainConfig.of(json.loads(json.dumps(config.model_dump(mode="json")))) == config


@st.composite
def front_ends(draw: st.DrawFn) -> FeatureConfig:
    """Front ends with fragments of at most 4,000 samples, odd windows among them."""
    rate = draw(st.integers(1_000, 48_000))
    n_fft = draw(st.integers(16, 1_024))
    n_samples = draw(st.integers(n_fft // 2 + 1, 4_000))
    duration_s = n_samples / rate
    assume(round(duration_s * rate) == n_samples)
    hop_length = draw(st.integers(max(1, n_fft // 8), n_fft))
    return FeatureConfig(sample_rate=rate, duration_s=duration_s, n_fft=n_fft, hop_length=hop_length)


class TestFrontEnd:
    @given(front_ends())
    @settings(max_examples=60, deadline=None)
    @pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa warns of a window longer than the fragment
    def test_frames_are_as_many_as_librosas(self, front_end: FeatureConfig) -> None:
        spectrum = librosa.stft(
            np.zeros(front_end.n_samples, dtype=np.float32),
            n_fft=front_end.n_fft,
            hop_length=front_end.hop_length,
            center=True,
            pad_mode="reflect",
        )
        assert front_end.n_frames == spectrum.shape[1]

    @given(st.integers(1_000, 48_000), st.floats(1.1, 600))  # longer ones take too much memory
    @settings(max_examples=60)
    def test_a_fragment_is_as_long_as_asked_within_half_a_sample(self, rate: int, duration_s: float) -> None:
        front_end = FeatureConfig(sample_rate=rate, duration_s=duration_s)
        assert abs(front_end.n_samples / rate - duration_s) <= 0.5001 / rate
        assert front_end.shape("waveform") == (front_end.n_samples,)
        assert front_end.shape("mel") == (128, front_end.n_frames)
        assert front_end.fmax_hz == rate / 2

    def test_a_power_spectrogram_has_windows_of_its_own(self) -> None:
        assert FeatureConfig(n_fft=512, hop_length=64).shape("stft") == FeatureConfig().shape("stft") == (201, 552)
        assert FeatureConfig(sample_rate=8_000, duration_s=0.5).shape("stft") == (201, 21)

    def test_an_upper_edge_that_is_given_is_taken(self) -> None:
        assert FeatureConfig(fmax=8_000).fmax_hz == 8_000


OPTIONS = [
    pytest.param(schema, name, id=f"{schema.__name__}.{name}")
    for schema in ALL
    for name, field in schema.model_fields.items()
    if not (isinstance(field.annotation, type) and issubclass(field.annotation, Config))
]


@pytest.mark.parametrize(("schema", "name"), OPTIONS)
def test_every_field_has_one_option_and_a_description(schema: type[Config], name: str) -> None:
    field = schema.model_fields[name]
    assert sum(isinstance(item, Option) for item in field.metadata) == 1
    assert option_of(field) is not None
    assert field.description


def test_a_field_without_an_option_is_in_no_group() -> None:
    class Extended(TrainConfig):
        extra: int = 0

    assert option_of(Extended.model_fields["extra"]) is None
    assert "extra" not in fields_with(Extended, lambda option: True)
    assert fields_with(Extended, lambda option: True) == tuple(TrainConfig.model_fields)


VALUES_FOR_NETWORKS: dict[str, Any] = {
    "hidden": (8,),
    "channels": (8,),
    "lr": 0.5,
    "epochs": 2,
    "monitor": "loss",
    "center": True,
    "downsample": (2, 4),
    "pool": "mean",
}
"""Values that differ from the defaults of every architecture."""


@pytest.mark.parametrize("name", fields_with(TrainConfig, lambda option: option.used_by == "networks"))
def test_a_classical_model_refuses_each_field_that_only_networks_use(name: str) -> None:
    default = TrainConfig.model_fields[name].default
    choices = get_args(TrainConfig.model_fields[name].annotation)
    other = VALUES_FOR_NETWORKS.get(name) or (
        not default
        if isinstance(default, bool)
        else next(choice for choice in choices if choice != default)
        if isinstance(default, str)
        else default + 1
        if isinstance(default, int)
        else default / 2 + 0.25
    )
    unused = " must be left out for lda" if name in LAYERS else " is for networks: "
    assert f"{name}{unused}" in refusal(TrainConfig, {"arch": "lda", name: other})


@pytest.mark.parametrize("name", LAYERS)
def test_a_perceptron_refuses_the_options_of_convolutional_networks(name: str) -> None:
    value = VALUES_FOR_NETWORKS[name]
    assert refusal(TrainConfig, {"arch": "mlp", name: value}).startswith(f"{name} must be left out for mlp, ")


@pytest.mark.parametrize("values", [{"center": True}, {"downsample": "1,4"}])
def test_waveforms_have_no_bands_to_centre_or_average(values: dict[str, object]) -> None:
    assert "leave them out for waveform" in refusal(TrainConfig, {"arch": "cel", "input": "waveform", **values})


def test_the_last_epoch_is_the_result_unless_training_may_stop_early() -> None:
    assert TrainConfig.of({}).monitor == "last"
    assert TrainConfig.of({"patience": "5"}).monitor == "track_accuracy"
    assert TrainConfig.of({"patience": 5, "monitor": "loss"}).monitor == "loss"


def test_a_stored_classical_model_may_have_other_defaults_of_networks() -> None:
    stored = {**TrainConfig.of({"arch": "svm", "seed": 3}).model_dump(mode="json"), "patience": 10, "monitor": "loss"}
    assert TrainConfig.of(stored_values(stored)) == TrainConfig.of({"arch": "svm", "seed": 3})


def test_a_network_that_was_stored_before_an_option_existed_does_what_it_did_then() -> None:
    stored = TrainConfig.of({"arch": "cel2", "pool": "flatten", "center": False, "downsample": (1, 1)})
    older = {name: value for name, value in stored.model_dump(mode="json").items() if name not in LAYERS}
    assert TrainConfig.of(stored_values(older)) == stored
    assert TrainConfig.of(stored_values(stored.model_dump(mode="json"))) == stored


def test_the_seed_and_the_fold_tell_repeated_runs_apart() -> None:
    assert fields_with(TrainConfig, lambda option: option.scope == "repetition") == ("seed", "fold")


def test_the_keyword_arguments_of_train_are_the_fields_of_its_configuration() -> None:
    hints = get_type_hints(TrainOptions)
    assert tuple(hints) == tuple(TrainConfig.model_fields)
    for name, hint in hints.items():
        if name not in ("hidden", "channels", "downsample", "arch_options"):  # any sequence or mapping
            assert hint == TrainConfig.model_fields[name].annotation, name


def test_the_error_for_an_unknown_key_lists_no_hidden_field() -> None:
    hidden = fields_with(TrainConfig, lambda option: option.hidden)
    with pytest.raises(UsageError, match="unknown key 'sched_bi'") as error:
        TrainConfig.of({"sched_bi": "step"})
    assert hidden
    assert not [name for name in hidden if re.search(rf"\b{name}\b", str(error.value))]
