"""The program of a worker process, which `WorkerProcess` starts. It is run as a file: see `genrekit/io/processes.py`.

Everything above `main` comes from the standard library, because the process first looks for genrekit in `main`.
"""

import importlib.util
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection


def main() -> None:
    """Call the function that arrives through the connection, whose descriptor is written to stdin."""
    shared = [getattr(signal, name) for name in ("SIGINT", "SIGUSR1") if hasattr(signal, name)]
    for number in shared:  # they reach all processes of a terminal or a batch job; the parent handles them
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, shared)
    os.putenv("PYTHONSAFEPATH", "1")  # for processes that libraries start here
    connection = Connection(int(os.read(0, 16)))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    package, search_path = connection.recv()
    _import_package("genrekit", package)
    sys.path += [folder for folder in search_path if folder not in sys.path]
    target, arguments = connection.recv()
    target(connection, *arguments)


def _end_with_parent() -> None:
    """Exit when the parent has exited or was killed: it holds the other end of stdin, and writes no more to it."""
    os.read(0, 1)
    os._exit(1)


def _import_package(name: str, folder: str) -> None:
    """Import a package from a folder, wherever the search path would find it."""
    spec = importlib.util.spec_from_file_location(name, f"{folder}/__init__.py", submodule_search_locations=[folder])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
