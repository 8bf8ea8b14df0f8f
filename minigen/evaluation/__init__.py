"""How good a trained model is: a file for each modality.

Each has a TITLE, EXAMPLES, ``add_options(group)``, whose options have no defaults and are arguments of
``evaluate(model, data, seed, ...)``, and ``table(name, report)``, which shows what that returned. One with a
``draw(file, report)`` shows it as a picture, too.
"""

from . import audio, image, music, pairs, points, text

MODALITIES = {"audio": audio, "image": image, "music": music, "pairs": pairs, "points": points, "text": text}
