"""From probabilities to metrics with their intervals, and what they cost."""
