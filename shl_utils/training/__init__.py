"""Training of one model per segment: what is trained, on what, and how."""
