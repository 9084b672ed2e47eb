"""Arrays in and out of files, and the seeded initial values of params.

`read` opens (npy, npz, safetensors, csv, json), `write` writes, `random` makes values from seeds. Shapes and dtypes are
read from headers in plain Python, so that a model can be checked without importing NumPy. Pickles are never loaded.
"""
