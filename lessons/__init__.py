"""The lessons: each NN_name.py is a script, a notebook, a page of the book, and something to step through.

``python -m lessons`` lists them. How they are written is in CONTRIBUTING.md.
"""
