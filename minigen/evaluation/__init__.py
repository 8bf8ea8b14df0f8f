"""How good a trained model is: a file for each modality.

Each has a TITLE, EXAMPLES, ``add_options(group)``, whose options have no defaults and are arguments of
``evaluate(model, data, seed, ...)``, and ``table(name, report)``, which shows what that returned.
"""

from . import audio, image, pairs, points, text

MODALITIES = {"audio": audio, "image": image, "pairs": pairs, "points": points, "text": text}
