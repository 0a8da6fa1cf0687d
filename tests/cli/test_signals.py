"""Deferred signals: the first waits for the end of a block, a second one does not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from genrekit.cli.signals import Terminated, TimeLimitNear, check, listen, waiting

KINDS: dict[int, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    signal.SIGUSR1: TimeLimitNear,
}


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Install the handlers for these signals, and restore the previous ones."""
    before = {number: signal.getsignal(number) for number in KINDS}
    listen()
    yield
    listen()
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", KINDS)
def test_a_signal_is_raised_immediately_outside_waiting(number: signal.Signals) -> None:
    with pytest.raises(KINDS[number]):
        send(number)


def run(waiting_for: tuple[int, ...], *actions: Callable[[], object]) -> list[int]:
    """Run actions within a block that defers signals; return the numbers of those that ended, then -1."""
    done: list[int] = []

    def block() -> None:
        with waiting(*waiting_for):
            for number, action in enumerate(actions, 1):
                action()
                done.append(number)
        done.append(-1)

    with pytest.raises(tuple(KINDS.values())):
        block()
    return done


@pytest.mark.parametrize("number", KINDS)
class TestWaiting:
    def test_the_first_signal_is_raised_by_the_next_check(self, number: int) -> None:
        assert run((number,), lambda: send(number), check) == [1]

    def test_without_a_check_it_is_raised_when_the_block_ends(self, number: int) -> None:
        assert run((number,), lambda: send(number), lambda: None) == [1, 2]

    def test_a_second_signal_is_raised_immediately(self, number: int) -> None:
        assert run((number,), lambda: send(number), lambda: send(number)) == [1]

    def test_a_signal_of_the_other_kind_is_raised_immediately(self, number: int) -> None:
        for other in set(KINDS) - {number}:
            listen()
            assert run((number,), partial(send, other)) == []

    def test_after_the_block_signals_are_raised_immediately(self, number: int) -> None:
        with waiting(number):
            pass
        with pytest.raises(KINDS[number]):
            send(number)

    def test_nested_blocks_defer_both_kinds(self, number: int) -> None:
        other = min(set(KINDS) - {number})
        inner: list[int] = []
        assert run((number,), lambda: inner.extend(run((other,), lambda: send(number))), check) == [1]
        assert inner == [1]
        listen()
        assert run((number,), lambda: run((other,), lambda: send(other)), listen, lambda: send(other)) == [1, 2]

    def test_an_error_in_the_block_is_not_replaced_by_the_signal(self, number: int) -> None:
        def fail() -> None:
            with waiting(number):
                send(number)
                raise ValueError("of the block")

        with pytest.raises(ValueError, match="of the block"):
            fail()


def test_an_interruption_before_the_libraries_are_imported_is_one_line() -> None:
    script = """
import sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from genrekit.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "genrekit: interrupted\n")
