"""Tables, plots, sentences and pages of what was measured."""
