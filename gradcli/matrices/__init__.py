"""`jvp`, `jac` and `hess`, dense and sparse.

`verb.py` is the way in, and `blocks.py` where the matrices are sparse.
"""
