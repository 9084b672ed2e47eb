"""`bench` and `profile`: how long a gradient takes, and where the time goes.

`bench.py` and `profile.py` are the ways in.
"""
