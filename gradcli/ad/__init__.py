"""Derivatives of graphs, each a Graph → Graph transformation that emits primitives."""
