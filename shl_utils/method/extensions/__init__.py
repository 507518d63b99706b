"""Our extensions, not the paper's: other initializations, attention heads, stacking."""
