"""A plot that follows sliders: in JupyterLab as a widget, on a page as frames, elsewhere as a still picture."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from math import floor
from typing import Any

from shl_utils.notebook import pictures, style
from shl_utils.notebook.pictures import Control, Picture

# for screen readers, not visible
UNSEEN = '<div style="position: absolute; overflow: hidden; width: 1px; height: 1px">{}</div>'
WIDEST = 1000  # pixels of a picture on a page


def show(draw: Callable[..., Any], *, interactive: bool, panels: int = 1, **controls: Control) -> Any:
    """Draw with the first value of every control; if `interactive`, under a slider per range and a menu per list.

    controls: one or two. draw: takes the axes (an array of them if `panels` are several) and one value per control, by
    name, and draws again. Returns the widgets, or None. Where no kernel can move them, as on GitHub, the picture is
    shown instead; with it are the frames from which `shl site` makes sliders.
    """
    from IPython.display import display

    picture = Picture(draw, (8, 4) if panels == 1 else (4.5 * panels, 4.5), panels)
    first = picture.render({name: values[0] for name, values in controls.items()})
    still = {"image/png": base64.b64encode(first).decode()}
    metadata = {"image/png": {"alt": style.alt(picture.figure)}}
    if not interactive:
        display(still | {pictures.FRAMES: pictures.frames(picture, controls)}, raw=True, metadata=metadata)
        return None
    import ipywidgets as widgets

    wide = {"width": "calc(100% - 4px)", "max_width": f"{min(int(picture.figure.bbox.width), WIDEST)}px"}
    image = widgets.Image(value=first, format="png", layout=wide)
    words = widgets.HTML(_unseen(picture))  # an image of ipywidgets has no alternative text
    moved = {name: _control(widgets, name, values, wide) for name, values in controls.items()}

    def redraw(_change: Any = None) -> None:
        image.value = picture.render({name: control.value for name, control in moved.items()})
        words.value = _unseen(picture)

    for control in moved.values():
        control.observe(redraw, "value")
    box = widgets.VBox([*moved.values(), image, words])
    display(box._repr_mimebundle_() | still, raw=True, metadata=metadata)
    return box


def _unseen(picture: Picture) -> str:
    return UNSEEN.format(html.escape(style.alt(picture.figure)))


def _control(widgets: Any, name: str, values: Control, wide: dict[str, str]) -> Any:
    label = {"description": name, "style": {"description_width": "initial"}}
    if isinstance(values[0], str):
        return widgets.ToggleButtons(options=list(values), value=values[0], **label)
    start, least, most = values[:3]
    if pictures.is_whole(values):
        return widgets.IntSlider(value=start, min=least, max=most, layout=wide, **label)
    step = pictures.round_step(most - least, 50)
    down, up = (max(floor(part / step + 1e-9), 0) for part in (start - least, most - start))
    # the ends are whole steps from the start: a slider silently moves a value that is beyond them or between two steps
    ends = {"min": start - step * down, "max": start + step * up}
    return widgets.FloatSlider(value=start, **ends, step=step, readout_format=".3g", layout=wide, **label)
