"""Sources of notes and codes: one module per source, with one small interface.

A source module has `load(...) -> RawCorpus`. Everything after that (splits, filter, segments, training) uses only the
`RawCorpus`. A new source is therefore one new module here and one branch in `load`.
"""

from __future__ import annotations

from pathlib import Path

from shl_utils.data.raw_corpus import RawCorpus
from shl_utils.parameters import Parameters


def load(parameters: Parameters, run_folder: Path) -> RawCorpus:
    """Read the source that the parameters name. `synthetic` writes its tables below `run_folder` unless given a folder.

    Raises ValueError for an unknown source, and what the source's own `load` raises.
    """
    name, folder = parameters.source, Path(parameters.folder)
    if name == "openi":
        from shl_utils.data.sources import openi

        return openi.load(depth=parameters.depth)
    if name == "mimic3":
        from shl_utils.data.sources import mimic3

        return mimic3.load(folder)
    if name == "mimic4":
        from shl_utils.data.sources import mimic4

        notes = Path(parameters.notes_folder) if parameters.notes_folder else folder
        return mimic4.load(folder, notes, version=parameters.icd_version)
    if name == "codiesp":
        from shl_utils.data.sources import codiesp

        return codiesp.load(folder, language=parameters.language, code_set=parameters.code_set)
    if name == "reuters":
        from shl_utils.data.sources import reuters

        return reuters.load(folder if parameters.folder else None, download=parameters.download)
    if name == "table":
        from shl_utils.data.sources import custom_table

        return custom_table.load(
            Path(parameters.table),
            column_names=parameters.column_names,
            separator=parameters.separator,
            encoding=parameters.encoding,
            descriptions=Path(parameters.descriptions) if parameters.descriptions else None,
            private=parameters.private,
        )
    if name == "synthetic":
        from shl_utils.data.sources import synthetic

        notes, seed, full = parameters.synthetic_notes, parameters.seed, parameters.synthetic_full
        tables = folder if parameters.folder else run_folder / f"synthetic-{notes}-{seed}{'-full' if full else ''}"
        return synthetic.load(tables, notes=notes, seed=seed, full=full)
    raise ValueError(f"source {name!r} is unknown: use openi, mimic3, mimic4, codiesp, reuters, table or synthetic")


def files(parameters: Parameters) -> list[Path]:
    """Files that the source reads; when one changes, the run is made again.

    Some are not listed. The reports of openi are checked by digest and Reuters by counts when they are read. Generated
    notes depend on the parameters alone.
    """
    folder, source = parameters.folder, parameters.source
    named = {"table": (parameters.table, parameters.descriptions), "codiesp": (folder,)}
    read = [Path(name) for name in (*named.get(source, ()), *parameters.split_files.values()) if name]
    if source == "mimic3":
        from shl_utils.data.sources import mimic3

        read += mimic3.files(Path(folder))
    if source == "mimic4":
        from shl_utils.data.sources import mimic4

        read += mimic4.files(Path(folder), Path(parameters.notes_folder or folder))
    return [path.resolve() for path in read]
