"""What the assembler says of every kernel: registers, shared memory, spills. Needs CuPy with NVRTC, but no device.

    python -m minigen.kernels.cuda [75 80 90 120]

One row for each kernel; registers of a thread, as float32 / float64, for each compute capability.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from ... import backend
from ...errors import MinigenError
from . import FOLDER, source

ARCHS = ("75", "80", "90", "120")
FAMILIES = sorted(file.stem for file in FOLDER.glob("*.cu"))


class Usage(NamedTuple):
    registers: int  # of a thread
    shared: int  # bytes of a block
    spilled: int  # bytes of a thread that did not fit into registers


def report(family: str, real: str, arch: str) -> dict[str, Usage]:
    """The resources of each kernel of a family."""
    found = {}
    for part in backend.compile_cuda(source(family, real), arch).split("Compiling entry function '")[1:]:
        registers, shared, spills = (
            sum(map(int, re.findall(pattern, part)))
            for pattern in (r"Used (\d+) registers", r"(\d+) bytes smem", r"(\d+) bytes spill")
        )
        found[part.split("'")[0]] = Usage(registers, shared, spills)
    return found


def table(archs: list[str]) -> list[str]:
    """The lines of a Markdown table."""
    lines = ["| kernel | " + " | ".join(f"sm_{arch}" for arch in archs) + " | shared bytes | spilled bytes |"]
    lines.append("|---" * (len(archs) + 3) + "|")
    for family in FAMILIES:
        columns = [[report(family, real, arch) for real in ("float", "double")] for arch in archs]
        for kernel in sorted(columns[0][0]):
            both = [[of[kernel] for of in column] for column in columns]
            registers = "".join(f" {single.registers} / {double.registers} |" for single, double in both)
            shared, spilled = (max(usage[k] for pair in both for usage in pair) for k in (1, 2))
            lines.append(f"| {family}: `{kernel}` |{registers} {shared} | {spilled} |")
    return lines


def main(archs: list[str]) -> int:
    try:
        print(*table(archs or list(ARCHS)), sep="\n")
    except MinigenError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
