"""A plot that follows sliders in JupyterLab, and is a still image where nobody can move them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from math import floor, log10
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from shl_utils.notebook import style

# for screen readers, not visible
UNSEEN = '<div style="position: absolute; overflow: hidden; width: 1px; height: 1px">{}</div>'
WIDEST = 1000  # pixels of a picture on a page
Range = tuple[float, float, float]  # initial value, minimum and maximum; whole numbers only if all three are ints


def show(draw: Callable[..., Any], *, interactive: bool, panels: int = 1, **controls: Range | Sequence[str]) -> Any:
    """Draw with the first value of every control; if `interactive`, under a slider per range and a menu per list.

    draw: takes the axes (an array of them if `panels` are several) and one value per control, by name, and draws again.
    Returns the widgets, or None. Where no kernel can move them, as on GitHub, the picture is shown instead.
    """
    starts = {name: values[0] for name, values in controls.items()}
    size = (8, 4) if panels == 1 else (5.5 * panels, 4)
    if not interactive:
        draw(plt.subplots(1, panels, figsize=size)[1], **starts)
        return None
    import ipywidgets as widgets
    from IPython.display import display

    picture = Picture(draw, size, panels)
    wide = {"width": "100%", "max_width": f"{min(int(size[0] * picture.figure.dpi), WIDEST)}px"}
    image = widgets.Image(format="png", layout=wide)
    words = widgets.HTML()  # an image of ipywidgets has no alternative text
    moved = {name: _control(widgets, name, values, wide) for name, values in controls.items()}

    def redraw(_change: Any = None) -> None:
        image.value = picture.render({name: control.value for name, control in moved.items()})
        words.value = UNSEEN.format(html.escape(style.alt(picture.figure)))

    for control in moved.values():
        control.observe(redraw, "value")
    redraw()
    box = widgets.VBox([*moved.values(), image, words])
    still = {"image/png": base64.b64encode(bytes(image.value)).decode()}
    alt = style.alt(picture.figure)
    display(box._repr_mimebundle_() | still, raw=True, metadata={"image/png": {"alt": alt}})
    return box


class Picture:
    """A plot that is redrawn many times, without pyplot. Its layout is computed at the first drawing only, since that
    takes as long as drawing."""

    def __init__(self, draw: Callable[..., Any], size: tuple[float, float], panels: int) -> None:
        self.draw, self.figure = draw, Figure(figsize=size)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.subplots(1, panels)

    def render(self, values: dict[str, Any]) -> bytes:
        """Redraw with these values, by control; returns a PNG image as bytes."""
        for ax in self.figure.axes:
            ax.clear()
        self.draw(self.axes, **values)
        self.figure.canvas.draw()
        self.figure.set_layout_engine("none")
        buffer = io.BytesIO()  # savefig would draw a second time
        pixels = np.asarray(self.figure.canvas.buffer_rgba())[..., :3]
        Image.fromarray(pixels).save(buffer, format="png", compress_level=1)
        return buffer.getvalue()


def _control(widgets: Any, name: str, values: Range | Sequence[str], wide: dict[str, str]) -> Any:
    label = {"description": name, "style": {"description_width": "initial"}}
    if isinstance(values[0], str):
        return widgets.ToggleButtons(options=list(values), value=values[0], **label)
    start, least, most = values
    if all(isinstance(value, int) for value in values):
        return widgets.IntSlider(value=start, min=least, max=most, layout=wide, **label)
    step = round_step(most - least)
    down, up = (max(floor(part / step + 1e-9), 0) for part in (start - least, most - start))
    # the ends are whole steps from the start: a slider silently moves a value that is beyond them or between two steps
    ends = {"min": start - step * down, "max": start + step * up}
    return widgets.FloatSlider(value=start, **ends, step=step, readout_format=".3g", layout=wide, **label)


def round_step(width: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten with at least 50 steps in `width`."""
    power = 10.0 ** floor(log10(width / 50))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= width / 50 * (1 + 1e-9))
