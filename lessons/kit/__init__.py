"""What a lesson imports: ``from lessons.kit import FAST, show``; and what its exercises and solutions import.

FAST    true with ``--fast``: take fewer steps and less data, so that the lesson runs in ten seconds
show    show a figure, a picture, an animation or a trace: inline in a notebook, as a file anywhere else
"""

import os
import sys
from pathlib import Path

from .exercise import expects, your_turn
from .picture import show

__all__ = ["FAST", "expects", "show", "your_turn"]

FAST = "--fast" in sys.argv[1:] or os.environ.get("MINIGEN_LESSONS_FAST") == "1"

_script = Path(sys.argv[0])
if _script.parent.name == "lessons" and _script.name[:2].isdigit() and {*sys.argv[1:]} - {"--fast"}:
    sys.exit(f"{_script.name}: expected nothing or --fast, got {' '.join(sys.argv[1:])}.")
