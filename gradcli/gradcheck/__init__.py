"""`gradcheck`: gradients held against slopes by differences, and which operator is at fault.

`verb.py` is the way in.
"""
