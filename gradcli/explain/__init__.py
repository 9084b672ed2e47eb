"""`explain`: how a gradient comes about, as equations.

`verb.py` is the way in.
"""
