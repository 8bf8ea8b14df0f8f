"""What can be asked of a trained model, and how its answer is shown: a file for each modality.

Each has a TITLE, EXAMPLES, ``add_options(group)``, whose options have no defaults so that those given are known, and
``draw(run, asked)``, which returns the path of what it wrote, or None.
"""

from . import audio, image, music, pairs, points, text
from .run import Run

MODALITIES = {"audio": audio, "image": image, "music": music, "pairs": pairs, "points": points, "text": text}
