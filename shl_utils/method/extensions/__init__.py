"""Our extensions, not the paper's: another initialization, attention heads."""
