"""What the notebooks show beside their results: style, sliders, toys, exercises."""
