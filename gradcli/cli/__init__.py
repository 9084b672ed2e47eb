"""The command line: options into a `Request`, the API, and the answer to `report`. No logic of its own."""
