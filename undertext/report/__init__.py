"""What a comparison looks like on paper: figures, a page, and the files of a run.

`figures.figures`, `html.page`, `html.summary` and `save.save` are the ways in. This file imports
none of them, so that they load when they are used.
"""
