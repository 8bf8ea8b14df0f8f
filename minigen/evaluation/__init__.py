"""How good a trained model is: a file for each modality.

Each has a TITLE, EXAMPLES, ``add_options(group)``, whose options have no defaults and are arguments of
``evaluate(model, data, seed, ...)``, and ``table(name, report)``, which shows what that returned.
"""

from . import image, pairs, points, text

MODALITIES = {"image": image, "pairs": pairs, "points": points, "text": text}
