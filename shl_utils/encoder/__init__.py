"""From text to the states of a frozen encoder."""
