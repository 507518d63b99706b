"""Tables, plots, sentences and pages of the results."""
