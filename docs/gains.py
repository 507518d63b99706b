"""The picture of the README: python docs/gains.py runs/factorial docs/gains.png"""

import sys
from pathlib import Path

import pandas as pd

from shl_utils.notebook import style
from shl_utils.reporting import plots

METHOD = "segmented sh_focal, filter"
REPEATED = ["unified sh, no filter", "unified sh_focal, no filter"]  # no negative: the rows of bce and focal


def main(folder: str, target: str) -> None:
    """Gains of the comparable rows over one BCE model, by the finished run in `folder`."""
    style.setup_notebook()
    table = pd.read_parquet(Path(folder) / "ablation.parquet")
    table = table[table["comparable"] & ~table["reference"] & ~table["row"].isin(REPEATED)]
    table = table.assign(row=table["row"].replace(METHOD, f"the paper's: {METHOD}"))
    picture, axes = plots.plt.subplots(1, 2, figsize=(11, 1.2 + 0.33 * len(table)))
    plots.gains(table, axes)
    picture.savefig(target)
    print(style.alt(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
