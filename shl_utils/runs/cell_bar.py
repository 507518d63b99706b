"""A progress bar in a notebook's cell; slow to import where no notebook runs."""

from __future__ import annotations

from typing import Any

from IPython.display import HTML, display
from tqdm import notebook


class CellBar(notebook.tqdm):
    """A bar whose place is emptied when it is done: a saved notebook would look for a widget that is gone."""

    def __init__(self, **about: Any) -> None:
        super().__init__(display=False, **about)
        self.place = display(self.container, display_id=True)

    def close(self) -> None:
        """Remove the bar."""
        if not self.disable:  # not closed before
            self.place.update(HTML(""))
        super().close()
