"""A figure that follows sliders in JupyterLab, and stands still where nobody can move them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Range = tuple[float, float, float]  # where it starts, the least and the most


def show(draw: Callable[..., Any], *, interactive: bool, panels: int = 1, **controls: Range | Sequence[str]) -> Any:
    """Draw with the first value of every control; if `interactive`, under a slider for each range and a menu for names.

    draw: takes the axes (an array of them, if `panels` are several) and a value for each control by its name, and draws
    anew. The widgets, to be the last value of a cell; None without.
    """
    starts = {name: values[0] for name, values in controls.items()}
    size = (8, 4) if panels == 1 else (5.5 * panels, 4)
    if not interactive:
        draw(plt.subplots(1, panels, figsize=size)[1], **starts)
        return None
    import ipywidgets as widgets

    image = widgets.Image(format="png")
    image.layout.max_width = "100%"
    moved = {name: _control(widgets, name, values) for name, values in controls.items()}

    def redraw(_change: Any = None) -> None:
        image.value = png(draw, size, panels, {name: control.value for name, control in moved.items()})

    for control in moved.values():
        control.observe(redraw, "value")
    redraw()
    return widgets.VBox([*moved.values(), image])


def png(draw: Callable[..., Any], size: tuple[float, float], panels: int, values: dict[str, Any]) -> bytes:
    """The figure as a picture, drawn anew and apart from pyplot, whose figures would pile up."""
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels)
    draw(axes, **values)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _control(widgets: Any, name: str, values: Range | Sequence[str]) -> Any:
    label = {"description": name, "style": {"description_width": "initial"}}
    if isinstance(values[0], str):
        return widgets.ToggleButtons(options=list(values), value=values[0], **label)
    start, least, most = values
    return widgets.FloatSlider(value=start, min=least, max=most, step=(most - least) / 100, **label)
