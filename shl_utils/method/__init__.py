"""The paper's method: label filter, segments, harmonic weights, losses, thresholds. Arrays in, arrays out."""
