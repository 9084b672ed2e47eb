"""Results and errors as people and programs read them; the only room that imports Rich, and only to draw."""
