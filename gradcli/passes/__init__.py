"""Rewrites of graphs: each pass is one function Graph → Graph, and `pipeline.PASSES` is their order."""
