"""`genrekit train` with pauses where a kill could do the most damage. The code of genrekit is unchanged.

    python tests/stress/slow_train.py PAUSE_S MARK train ...

The steps of a small run and the writes of its files are so short that a kill at a random time would only hit imports.
There is a pause after each step, before each fsync, and before and after each file or folder replaces another one. The
file MARK is created just before the first epoch starts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from slow_prepare import slow


def main(pause_s: float, mark: Path, arguments: list[str]) -> int:
    """Run the command line with pauses."""
    from genrekit.cli.app import run
    from genrekit.training.loop import fit
    from genrekit.training.optimizers import OneCycle
    from genrekit.workflows import train_fit

    def marked_fit(*args: Any, **kwargs: Any) -> Any:
        mark.touch()
        return fit(*args, **kwargs)

    replacements = (
        (train_fit, "fit", marked_fit),
        (OneCycle, "after_step", slow(pause_s, 0, OneCycle.after_step, 1)),
        (os, "fsync", slow(pause_s, 2, os.fsync, 0)),
        (os, "link", slow(pause_s, 1, os.link, 1)),
        (os, "replace", slow(pause_s, 1, os.replace, 1)),
    )
    for module, name, replacement in replacements:
        setattr(module, name, replacement)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
