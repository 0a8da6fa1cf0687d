import pytest

from genrekit import errors
from genrekit.errors import GenrekitError, unknown_name


def test_a_name_like_none_of_the_choices_gets_the_choices_alone() -> None:
    assert str(unknown_name("schedule", "zzz", ["none", "cosine"])) == "unknown schedule 'zzz' (choices: none, cosine)"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cosin", "did you mean cosine? "), ("adom", "did you mean adam or adamw? ")],
    ids=["one", "two"],
)
def test_close_names_are_offered_the_closest_first(name: str, hint: str) -> None:
    assert hint in str(unknown_name("name", name, iter(["adamw", "adam", "cosine"])))


def test_every_error_is_one_that_the_user_can_fix() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)}
    assert {GenrekitError, errors.UsageError, errors.BundleError} <= kinds
    assert all(issubclass(kind, GenrekitError) for kind in kinds)
