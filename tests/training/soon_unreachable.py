"""A script for torchrun: genrekit, which takes a host for unreachable after 6 s instead of a minute."""

import sys

from genrekit.cli.app import run
from genrekit.training import ranks

if __name__ == "__main__":
    ranks.REACHABLE_S = 6
    sys.exit(run(sys.argv[1:]))
