"""From text to tokens and to hidden states: of an encoder's frozen layers, and of those with a LoRA adapter."""
