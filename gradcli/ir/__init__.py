"""The typed dataflow graph: avals, primitives, values and nodes. It knows no operator."""
