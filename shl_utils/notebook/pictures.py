"""A plot that is redrawn for values of its controls: one picture, or frames for pages that no kernel redraws."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence
from math import ceil, floor, log10
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from shl_utils.notebook import style

FRAMES = "application/vnd.shl.frames+json"
STEPS = {1: 8, 2: 4}  # of a slider with frames, at least, by the number of controls
Range = tuple[
    float, ...
]  # initial value, minimum, maximum, and others to be reached; whole numbers only if all are ints
Control = Range | Sequence[str]


class Picture:
    """A plot that is redrawn many times, without pyplot. Its layout is computed at the first drawing only, since that
    takes as long as drawing."""

    def __init__(self, draw: Callable[..., Any], size: tuple[float, float], panels: int) -> None:
        self.draw, self.figure = draw, Figure(figsize=size)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.subplots(1, panels)

    def render(self, values: dict[str, Any]) -> bytes:
        """Redraw with these values, by control; returns a PNG image as bytes."""
        self._redraw(values)
        self.figure.canvas.draw()
        self.figure.set_layout_engine("none")
        buffer = io.BytesIO()  # savefig would draw a second time
        pixels = np.asarray(self.figure.canvas.buffer_rgba())[..., :3]
        Image.fromarray(pixels).save(buffer, format="png", compress_level=1)
        return buffer.getvalue()

    def vector(self, values: dict[str, Any]) -> str:
        """The same as SVG, without date and random names. Its text stays text, which halves its size."""
        self._redraw(values)
        buffer = io.StringIO()
        with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "shl"}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    def _redraw(self, values: dict[str, Any]) -> None:
        for ax in self.figure.axes:
            ax.clear()
        self.draw(self.axes, **values)


def frames(picture: Picture, controls: dict[str, Control]) -> dict[str, Any]:
    """The picture at every combination of some values of its controls, one or two. It must be rendered once before.

    Returns `controls`: for each its name, its values in words, and the number of the initial one; and `frames`: `svg`
    and `alt` of each combination, the last control's values fastest.
    """
    values = {name: stops(control, STEPS[len(controls)]) for name, control in controls.items()}
    found = []
    for combination in itertools.product(*values.values()):
        svg = picture.vector(dict(zip(values, combination)))
        found.append({"svg": svg, "alt": style.alt(picture.figure)})
    shown = [
        {"name": name, "values": [_words(value) for value in values[name]], "start": values[name].index(control[0])}
        for name, control in controls.items()
    ]
    return {"controls": shown, "frames": found}


def stops(control: Control, steps: int) -> list[Any]:
    """Every value of a menu. Of a range, the values that it names and the multiples of a round step, at least so many.

    A minimum that is no such multiple is reached too.
    """
    if isinstance(control[0], str):
        return list(control)
    start, least, most, *also = control
    step = round_step(most - least, steps)
    if is_whole(control):
        step = max(int(step), 1)
    multiples = range(ceil(least / step - 1e-9), floor(most / step + 1e-9) + 1)
    return sorted({start, least, *also, *(round(step * i, 10) for i in multiples)})


def round_step(width: float, steps: int) -> float:
    """The largest of 1, 2 and 5 times a power of ten with at least so many steps in `width`."""
    power = 10.0 ** floor(log10(width / steps))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= width / steps * (1 + 1e-9))


def is_whole(control: Range) -> bool:
    return all(isinstance(value, int) for value in control)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
