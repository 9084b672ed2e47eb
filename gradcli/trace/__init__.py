"""`trace`: the value and the gradients of a model node by node, what went bad on the way, and its repair.

`verb.py` is the way in: it runs `tracer.py` over a request made `ready.py`, and tells what that finds.
"""
