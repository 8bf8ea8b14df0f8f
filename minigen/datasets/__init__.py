"""Data: image sets by name or folder, synthetic densities, and the order in which examples are seen.

Everything here is NumPy on the host.
"""

from .batches import Batches
from .bundled import load_digits
from .catalog import available, load
from .folder import load_folder
from .idx import read_idx, write_idx
from .images import ImageSet
from .pixels import from_signed, from_unit, to_signed, to_unit
from .remote import download
from .synthetic import mixture_1d, ring_of_gaussians, two_moons

__all__ = [
    "Batches",
    "ImageSet",
    "available",
    "download",
    "from_signed",
    "from_unit",
    "load",
    "load_digits",
    "load_folder",
    "mixture_1d",
    "read_idx",
    "ring_of_gaussians",
    "to_signed",
    "to_unit",
    "two_moons",
    "write_idx",
]
