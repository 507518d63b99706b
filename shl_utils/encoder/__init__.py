"""From text to tokens and to the hidden states of a frozen encoder."""
