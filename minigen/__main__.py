"""``minigen train MODEL`` and ``minigen sample RUN``: the same as ``python -m minigen.train`` and ``.sample``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

USAGE = """\
usage: minigen train MODEL ...    train a model          minigen train --help
       minigen sample RUN ...     draw from a trained    minigen sample --help"""


def main(argv: Sequence[str] | None = None) -> int:
    """Hand over to the command that is named first; returns its exit code."""
    command, *rest = list(sys.argv[1:] if argv is None else argv) or [""]
    if command == "train":
        from .train import main as run
    elif command == "sample":
        from .sample import main as run
    elif command in ("-h", "--help"):
        print(USAGE)
        return 0
    else:
        print(f"minigen: expected train or sample, came {command or 'nothing'!r}; see minigen --help.", file=sys.stderr)
        return 2
    return run(rest)


if __name__ == "__main__":
    sys.exit(main())
