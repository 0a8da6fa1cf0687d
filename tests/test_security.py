"""Each promise in SECURITY.md names the test that holds it."""

import re
from pathlib import Path

import pytest

from genrekit.errors import UsageError
from genrekit.studies.study_files import open_study

ROOT = Path(__file__).parents[1]

HELD_BY = {
    "Loading a model runs no code": "models/test_bundle.py::test_a_pickle_in_a_files_place_is_not_run",
    "A pickle in place of a checkpoint": "training/test_checkpoint.py::"
    "test_a_pickle_in_place_of_a_checkpoint_is_not_run",
    "A pickle in place of a file beside a cache": "data/test_descriptor_cache.py::test_pickles_are_not_read",
    "An ONNX network": "models/test_network_file.py::test_onnx_that_refers_to_another_file_is_refused",
    "TorchScript can run code": "cli/test_network_features.py::test_torchscript_is_read_only_if_the_user_names_it",
    "A bundle whose settings describe": "models/test_bundle.py::test_a_claim_of_a_huge_model_takes_no_memory",
    "A cache with a dataset that is stored": "data/cache/test_cache_schema.py::"
    "test_a_dataset_that_is_not_stored_in_the_file_is_refused",
    "A cache in which a group": "data/cache/test_cache_schema.py::test_a_group_that_is_a_link_is_refused",
    "If a value of a cache": "data/cache/test_cache_schema.py::test_a_changed_cache_ends_each_command_with_one_line",
    "A damaged run": "test_stored_files.py::test_a_bad_run_is_named_and_left_out",
    "A bundle whose fragments": "test_memory_limits.py::test_a_declared_front_end_that_takes_gigabytes_is_refused",
    "A JSON, TOML": "test_memory_limits.py::test_json_and_toml_files_of_a_terabyte_are_not_read",
    "A cache that declares": "test_memory_limits.py::test_a_cache_that_declares_more_rows_than_it_can_have_is_not_read",
    "A grid of more": "test_memory_limits.py::test_a_grid_of_a_billion_configurations_is_refused_without_making_them",
    "A study or a search can only name": "test_security.py::test_a_study_cannot_name_a_function_as_its_architecture",
    "The trials of a search": "cli/test_special_files.py::"
    "test_trials_are_not_read_from_or_written_to_what_is_not_a_plain_file",
    "The command `genrekit` and its worker": "io/test_processes.py::test_prepare_runs_no_module_of_the_current_folder",
    "An audio file cannot make": "audio/test_fallback_decoders.py::"
    "test_a_file_cannot_make_the_decoder_open_another_one",
    "An audio file that does not fit": "data/cache/test_builder.py::"
    "test_a_file_that_does_not_fit_into_memory_is_skipped",
    "`predict --write-tags": "cli/test_predict_command.py::test_links_out_of_the_folder_are_not_followed_in_place",
    "An output replaces a file only": "cli/test_targets.py::test_a_file_that_genrekit_did_not_write_stays",
    "An output never replaces a device": "cli/test_targets.py::test_a_special_file_is_never_replaced",
    "An output never replaces a directory": "cli/test_targets.py::test_a_directory_is_not_replaced",
    "If the output is a link": "cli/test_targets.py::test_what_genrekit_wrote_is_replaced_also_through_a_link",
    "An output that is a broken link": "cli/test_targets.py::test_a_link_that_leads_nowhere_is_refused",
    "A lock file that is a link": "cli/test_targets.py::test_a_lock_is_not_written_through_a_link",
    "From the folder of best": "cli/test_targets.py::test_best_models_loses_nothing_that_genrekit_did_not_put_there",
    "Writing the report of a study": "cli/test_targets.py::test_a_report_of_a_study_keeps_the_files_of_the_user",
    "A trial of a search that fails": "studies/test_search_runner.py::"
    "test_a_failure_of_the_computer_spends_no_trial_and_the_search_goes_on",
    "Control characters in names": "cli/test_names.py::test_file_names_reach_no_terminal_raw",
    "Brackets in names": "cli/test_names.py::test_markup_in_names_is_printed_by_every_command_that_prints_names",
    "A cell of a CSV file": "cli/test_names.py::test_cells_that_a_spreadsheet_would_run_are_quoted",
    "Names of genres that cannot": "cli/test_names.py::test_a_bundle_or_cache_with_a_genre_that_is_no_name_is_refused",
    "A named pipe": "cli/test_special_files.py::test_a_special_file_is_refused_in_one_line",
    "No command opens": "stress/test_system_calls.py::test_no_command_uses_the_network_or_starts_other_programs",
    "Commands start no": "stress/test_system_calls.py::test_no_command_uses_the_network_or_starts_other_programs",
    "API keys of Weights & Biases": "cli/test_train_command.py::test_the_key_is_in_no_file_and_no_message",
    "The content security": "reports/test_report_in_browser.py::test_the_policy_blocks_requests_and_other_scripts",
    "Names of tracks and genres": "reports/test_evaluation_report.py::test_names_are_escaped_everywhere",
}
"""The start of each promise, and the test that holds it."""


def promises() -> list[str]:
    """The sentences of the section; each is one item of a list."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## What genrekit promises$(.*?)^A file that breaks", text, re.DOTALL | re.MULTILINE)
    return [
        " ".join(item.split()) for item in re.findall(r"^- (.*?)(?=^- |^#|^$|\Z)", section, re.DOTALL | re.MULTILINE)
    ]


def test_each_promise_is_held_by_a_test_that_exists() -> None:
    found = [[start for start in HELD_BY if promise.startswith(start)] for promise in promises()]
    assert [len(starts) for starts in found] == [1] * len(found), found
    assert {start for starts in found for start in starts} == set(HELD_BY)
    for test in HELD_BY.values():
        file, name = test.split("::")
        assert re.search(rf"^ *def {name}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE), test


def test_each_promise_is_one_sentence() -> None:
    """A second sentence in an item would need no test."""
    assert [promise for promise in promises() if re.search(r"\.\s", promise) or not promise.endswith(".")] == []


def test_a_study_cannot_name_a_function_as_its_architecture(tmp_path: Path) -> None:
    file = tmp_path / "evil.toml"
    file.write_text('title = "T"\nquestion = "Q?"\nbase = { arch = "os:system" }\n[axes.a]\nlow = { lr = 0.1 }\n')
    with pytest.raises(UsageError, match="os:system"):
        open_study(str(file))
