"""What the notebooks show beside their results: style, sliders, toy examples, exercises."""
