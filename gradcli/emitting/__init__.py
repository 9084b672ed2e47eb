"""Graphs as programs of other systems. Each module imports its system, and only when it is asked for."""
