"""The figures that take long: what is trained, how it is measured, what is to be reached.

    python -m benchmarks.quality [--list] [--only ROW,ROW] [--quick] [--again] [--data-root DIR]

trains and measures every row that has no result yet and writes ``benchmarks/results/quality/ROW.json`` and the table
``benchmarks/results/quality/README.md``. An interrupted training goes on where it stopped.
"""

from . import exact, images, music, sequences, sound
from .rows import Row

ROWS: dict[str, Row] = {row.name: row for module in (exact, images, sequences, music, sound) for row in module.ROWS}
