"""Coded notes: read from a source, cleaned, split, and kept as a corpus."""
