"""Codes for one note, by the models of a finished run."""
