"""What the maintainers run: generated pages, transcripts of the manual, parser tables."""
