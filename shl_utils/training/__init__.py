"""One model per segment: what is to be trained, on what, and how."""
