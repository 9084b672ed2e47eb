"""Why derivatives are zero.

`why.py` is the way in: it asks the structure of the graph first, then the numbers, along a tape of one run.
"""
