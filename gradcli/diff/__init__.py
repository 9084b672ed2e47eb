"""`diff` and `grad --check`: what differs between two models, or between stored results.

`verb.py` is the way in to `diff`, `comparing.py` to `--check`.
"""
