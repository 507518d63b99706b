"""What is ours and not the paper's: other initializations, attention heads, stacking."""
