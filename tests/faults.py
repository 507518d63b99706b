"""What goes wrong with parameters and data, tried one by one: the list behind docs/faults.md.

python tests/faults.py    writes that page anew, with what is said now.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import re
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from shl_utils import runner
from shl_utils.data import corpus, sources
from shl_utils.data.sources import synthetic
from shl_utils.encoder import encoder, weight_files
from shl_utils.training import adapter_check

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
ROWS = [{"id": f"n{i}", "text": f"Fever on day {i}.", "codes": "A1;B2" if i % 2 else "B2"} for i in range(60)]
TABLE = "source: table\ntable: notes.csv"
GOOD = object()  # nothing is wrong after all


@dataclass(frozen=True)
class Fault:
    """what: in words. lines: of the parameter file after `run: x`, or all of it as bytes. files: what lies beside it.
    says: a part of the message; GOOD where it has to be taken. remedy: what the message asks for, applied: lines in
    place of those, or files."""

    what: str
    lines: str | bytes
    says: str | object
    files: dict[str, bytes] = field(default_factory=dict)
    remedy: str | dict[str, bytes] | None = None

    def mended(self) -> Fault:
        """The same with what the message asks for."""
        if isinstance(self.remedy, str):
            return replace(self, lines=self.remedy)
        return replace(self, files=self.files | self.remedy)


def own(what: str, says: str | object, files: dict[str, bytes] | None = None, remedy=None, *, lines: str = "") -> Fault:
    """A fault of one's own table, notes.csv. lines: of the parameter file, after TABLE; a text as remedy stands there
    in their place."""
    with_table = [f"{TABLE}\n{more}".rstrip() if isinstance(more, str) else more for more in (lines, remedy)]
    return Fault(what, with_table[0], says, files or {}, with_table[1])


def as_csv(rows: list[dict]) -> dict[str, bytes]:
    return {"notes.csv": pd.DataFrame(rows).to_csv(index=False).encode()}


def table(*, row: int = 0, drop: str = "", **cells) -> dict[str, bytes]:
    """notes.csv with other cells in a row, or without a column."""
    rows = [dict(line) for line in ROWS]
    rows[row] |= cells
    return as_csv([{name: cell for name, cell in line.items() if name != drop} for line in rows])


def every(**cells) -> dict[str, bytes]:
    """notes.csv with these cells in every row."""
    return as_csv([line | cells for line in ROWS])


def cycled(*cells: str, column: str = "codes") -> dict[str, bytes]:
    """notes.csv with these cells in a column, one after the other."""
    return as_csv([line | {column: cells[i % len(cells)]} for i, line in enumerate(ROWS)])


def encoded(text: str, encoding: str) -> dict[str, bytes]:
    """notes.csv with this text in its first row."""
    return {"notes.csv": table(text=text)["notes.csv"].decode().encode(encoding)}


def json_lines(end: bytes) -> dict[str, bytes]:
    """n.jsonl, whose texts end so."""
    line = b'{"id": "%d", "text": "x %d%s", "codes": ["A", "%d"]}\n'
    return {"n.jsonl": b"".join(line % (i, i, end, i % 2) for i in range(60))}


def cut_short(files: dict[str, bytes], end: str) -> dict[str, bytes]:
    """These files; those whose name ends so without what is after 5,000 bytes."""
    return files | {name: data[:5_000] for name, data in files.items() if name.endswith(end)}


def minilm(name: str, changed: dict) -> dict[str, bytes]:
    """notes.csv, and the default encoder as a folder `enc`, with one of its files changed."""
    known = json.loads(MINILM[f"enc/{name}"])
    more = {key: known.get(key, []) + value if isinstance(value, list) else value for key, value in changed.items()}
    return table() | MINILM | {f"enc/{name}": json.dumps(known | more).encode()}


def mimic_tables() -> dict[str, bytes]:
    """Tables in the form of MIMIC-III."""
    with tempfile.TemporaryDirectory() as place:
        synthetic.write(Path(place) / "t", notes=100, seed=0)
        return {f"mimic/{path.name}": path.read_bytes() for path in (Path(place) / "t").glob("*.csv.gz")}


def changed(name: str, pattern: str, new: str) -> dict[str, bytes]:
    """These tables, with what matches a pattern in one of them replaced."""
    file = f"mimic/{name}.csv.gz"
    text = re.sub(pattern, new, gzip.decompress(MIMIC_TABLES[file]).decode())
    return MIMIC_TABLES | {file: gzip.compress(text.encode())}


def mimic(what: str, says: str, files: dict[str, bytes], remedy: dict[str, bytes] | None = None) -> Fault:
    return Fault(what, "source: mimic3\nfolder: mimic", says, files, remedy)


CSV = table()["notes.csv"]
MINILM = {f"enc/{p.name}": p.read_bytes() for p in weight_files.location(weight_files.MINILM).iterdir() if p.is_file()}
FOLDER = "encoder: enc"
MIMIC_TABLES = mimic_tables()
WITHOUT_TITLES = {name: data for name, data in MIMIC_TABLES.items() if "D_ICD_DIAGNOSES" not in name}
JSONL = "source: table\ntable: n.jsonl"
GRID = "grid: g.yaml"
SPLIT = "split_files: {train: a.txt, test: b.txt}"
PLAIN_TOKEN = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)

FAULTS = [
    # parameters
    Fault("a misspelt parameter", "epocs: 3", "unknown parameter 'epocs', did you mean 'epochs'?"),
    Fault("a parameter twice", "epochs: 3\nepochs: 4", "given more than once: epochs"),
    Fault("a tab in YAML", "\tepochs: 3", "not valid YAML"),
    Fault("a run that is not there, to compare with", "compare_with: [demmo]", "demmo has no finished 05_ablate"),
    Fault("an unclosed bracket", "compare_with: [a", "not valid YAML"),
    Fault("an empty parameter file", b"", "`run` is missing"),
    Fault("no name of a run", b"epochs: 3\n", "`run` is missing"),
    Fault("a list in place of parameters", b"- run: x\n", "expected lines of `name: value`"),
    Fault("a name that YAML reads as no text", "no: 3", "a name is no text"),
    Fault("an empty name of a run", b'run: ""\n', "run: String should have at least 1 character"),
    Fault("a run that is called ..", b"run: ..\n", "leaves the folder of runs: use a name such as demo"),
    Fault("a run in the user's home folder itself", b"run: '~'\n", "holds more than one run: name a new folder in it"),
    Fault("a run with a line break in its name", b'run: "a\\nb"\n', "no folder here can be called"),
    Fault("a parameter file in Latin-1", "run: x # für".encode("latin-1"), "not UTF-8 text"),
    Fault(
        "a parameter file from Windows (mark, CRLF)",
        b"\xef\xbb\xbfrun: x\r\nsource: table\r\ntable: notes.csv\r\n",
        GOOD,
        table(),
    ),
    Fault("1e-3, which YAML reads as text", "lr_lora: 1e-3", "write 1.0e-5"),
    Fault("a quoted number", 'epochs: "3"', "epochs: Input should be a valid integer"),
    Fault("half an epoch", "epochs: 2.5", "epochs: Input should be a valid integer"),
    Fault("yes for a number", "epochs: yes", "epochs: Input should be a valid integer"),
    Fault("a number for yes or no", "download: 1", "download: Input should be a valid boolean"),
    Fault("nothing behind the colon", "loss:", "loss: Input should be"),
    Fault("no epoch at all", "epochs: 0", "greater than or equal to 1"),
    Fault("a negative batch", "batch_size: -16", "greater than or equal to 1"),
    Fault("a learning rate that is no number", "lr_head: .nan", "finite number"),
    Fault("an infinite eta", "eta: .inf", "finite number"),
    Fault("a learning rate above 1", "lr_lora: 40", "less than or equal to 1"),
    Fault("an unknown loss", "loss: focall", "Input should be 'bce'"),
    Fault("an unknown source", "source: mimic5", "Input should be 'codiesp'"),
    Fault("an unknown beta", "beta: R4", "Input should be 'R1', 'R2' or 'R3'"),
    Fault("gamma between 0 and 1", "gamma: 0.5", "infinite gradients"),
    Fault("a quantile above 1", "filter_threshold: 1.0", "filter_threshold is a quantile here"),
    Fault("no layer to train", "lora_layers: 0", "trains no layer"),
    own("more layers than there are", "all-MiniLM-L6-v2 has 6 layers", table(), lines="lora_layers: 9"),
    own("more tokens than the encoder reads", "reads at most 512", table(), lines="max_tokens: 4096"),
    Fault("no notes left for training", "validation_share: 0.45\ntest_share: 0.48", "less than a tenth of the notes"),
    Fault("fp16 without a GPU", "precision: fp16", "needs a GPU"),
    Fault("two ways of several processes", "parallel_models: 2\nprocesses: 2", "leave processes and nodes at 1"),
    Fault("a loss of whole batches in two processes", "loss: two_way\nprocesses: 2", "compares all notes of a batch"),
    Fault("a meeting place without port", "rendezvous: host", "rendezvous: String should match"),
    Fault("one code alone", "top_codes: 1", "at least two codes are needed"),
    Fault("an unknown grid", "grid: factorail", "factorail.yaml is missing"),
    Fault("a grid that is no name", "grid: {}", "grid: Input should be a valid string"),
    Fault(
        "a misspelt factor in a grid", GRID, "unknown factor 'los', did you mean 'loss'?", {"g.yaml": b"- los: [bce]\n"}
    ),
    Fault("an impossible level in a grid", GRID, "gamma", {"g.yaml": b"- loss: [focal]\n  gamma: [0.5]\n"}),
    Fault("a grid without blocks", GRID, "expected blocks", {"g.yaml": b"loss: bce\n"}),
    own("an encoder that is nowhere", "encoder 'BERT' could not be loaded", table(), lines="encoder: BERT"),
    own(
        "a folder that holds no encoder",
        "encoder 'enc' could not be loaded",
        table() | {"enc/config.json": b"{}"},
        lines=FOLDER,
    ),
    own(
        "an encoder whose weights are cut short",
        "one is damaged",
        table() | cut_short(MINILM, ".safetensors"),
        lines=FOLDER,
    ),
    own(
        "a tokenizer of more words than the model has",
        "give a folder whose tokenizer and weights belong together",
        minilm("tokenizer.json", {"added_tokens": [{"id": 30522, "content": "[MORE]"} | PLAIN_TOKEN]}),
        lines=FOLDER,
    ),
    own(
        "weights that config.json does not describe",
        "give a complete checkpoint",
        minilm("config.json", {"max_position_embeddings": 256}),
        lines=FOLDER,
    ),
    own(
        "an encoder that asks for code of its own",
        "give another encoder",
        minilm("config.json", {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}),
        lines=FOLDER,
    ),
    # a table of one's own
    Fault("a table without its path", "source: table", "source table needs `table`"),
    Fault("a table that another source would not read", "table: notes.csv", "add `source: table`"),
    own("a table that is missing", "notes.csv is missing"),
    Fault("a table of another kind", "source: table\ntable: notes.xlsx", "must end in .csv", {"notes.xlsx": b"x"}),
    own("a table without rows", "holds no rows", {"notes.csv": b"id,text,codes\n"}),
    own("an empty file", "holds no rows", {"notes.csv": b""}),
    own("a table without ids", "lacks the column id", table(drop="id")),
    own("a table with the text under another name", "lacks the column text", table(drop="text")),
    own(
        "a column named that is not there", "lacks the column report", table(), "", lines="column_names: {text: report}"
    ),
    own(
        "a table with its own names of the columns",
        "say in `column_names` what the file calls it",
        {"notes.csv": CSV.replace(b"id,text,codes", b"key,report,icd")},
        "column_names: {id: key, text: report, codes: icd}",
    ),
    own("a column that no table has", "column_names", table(), lines="column_names: {txt: report}"),
    own("an id twice", "repeats in all: make it unique", table(row=3, id="n0"), table()),
    own("a blank id", "row 3, column id", table(row=2, id=" ")),
    own("a blank text", "row 3, column text", table(row=2, text=" ")),
    own("a note without codes", "row 3, column codes", table(row=2, codes="")),
    own("codes taken for numbers", "row 3, column codes", table(row=2, codes="4019.0")),
    own("one code in all notes", "one code only", every(codes="A1")),
    own("all codes in all notes", "every note has all 2 codes", cycled("A1;B2;C3", "A1;B2"), "", lines="top_codes: 2"),
    own(
        "codes separated by commas",
        'set `separator: ","`',
        cycled("A1,B2", "B2", "A1,C3", "C3"),
        'separator: ","',
    ),
    own("codes separated by bars", "codes look separated by", cycled("A1|B2", "B2", "A1|C3", "C3"), 'separator: "|"'),
    own(
        "a tab as separator that YAML does not read as one",
        'set `separator: "\\t"`',
        cycled("A1\tB2", "B2", "A1\tC3", "C3"),
        'separator: "\\t"',
        lines="separator: \\t",
    ),
    own(
        "codes separated by signs that may belong to them",
        'a code that holds it is written in a list, ["A1,B2"]',
        cycled("A/B", "B", "B/C", "C/A", "A"),
        cycled('["A/B"]', '["B"]', '["B/C"]', '["C/A"]', '["A"]'),
    ),
    own(
        "two separators in one column",
        "write one of them in all rows",
        cycled("A1,B2", "B2;C3", "C3,A1"),
        cycled("A1;B2", "B2;C3", "C3;A1"),
    ),
    own("lists as pandas writes them", GOOD, cycled("['A1', 'B2']", "['B2']", "['C3', 'A1']")),
    own("lists as JSON writes them", GOOD, cycled('["A1", "B2"]', '["B2"]', '["C3", "A1"]')),
    own(
        "sets of codes as a database writes them",
        "a list that cannot be read",
        cycled("{A1,B2}", "{B2}", "{C3,A1}"),
        cycled("A1;B2", "B2", "C3;A1"),
    ),
    own(
        "a column of 0 and 1 for each code",
        "columns of 0 and 1 are not read",
        {"notes.csv": b"id,text,A1,B2\n" + b"".join(b"n%d,fever %d,%d,1\n" % (i, i, i % 2) for i in range(60))},
        table(),
    ),
    own("codes that a spreadsheet made dates", "read as a number or date", table(row=2, codes="2-Jan"), table()),
    own(
        "codes that lost a zero",
        "have one with zeros before them",
        table(row=1, codes="16.53;A1") | {"d.csv": b"code,description\n016.53,x\nA1,y\nB2,z\n"},
        table(row=1, codes="016.53;A1"),
        lines="descriptions: d.csv",
    ),
    own(
        "patients read as numbers in some rows",
        "column group: read as a number",
        cycled(*(f"{i}.0" if i % 7 == 0 else f"{i}" for i in range(60)), column="group"),
        cycled(*map(str, range(60)), column="group"),
    ),
    own("unseen marks in ids and codes", GOOD, table(row=1, id="\u200bn1", codes="B2\ufeff")),
    own(
        "a table of a European spreadsheet",
        GOOD,
        {"notes.csv": b"\xef\xbb\xbfsep=;\r\n" + pd.DataFrame(ROWS).to_csv(index=False, sep=";").encode()},
    ),
    own("empty columns of a spreadsheet", GOOD, {"notes.csv": CSV.replace(b"\n", b",,\n")}),
    own(
        "quotes with a backslash before them",
        'write them double, "" for',
        {"notes.csv": CSV + b'n99,"said \\"no\\", x",A1\n'},
        {"notes.csv": CSV + b'n99,"said ""no"", x",A1\n'},
    ),
    Fault(
        "half a character",
        JSONL,
        "column text: it holds half a character",
        json_lines(b" \\ud83d"),
        json_lines(b""),
    ),
    own("a note to show that the test has not", "leave it empty", table(), "", lines="shown_note: nobody"),
    own("a split that is none", "use train, validation, test", every(split="dev")),
    own("a split without a test", "a split needs train and test", every(split="train")),
    own(
        "fewer notes than a split needs",
        "leave too few",
        {"notes.csv": b"id,text,codes\n" + b"".join(b"%d,fever,A;B\n" % i for i in range(3))},
    ),
    own("codes all too rare", "lower `min_notes`", table(), "min_notes: 3", lines="min_notes: 1000"),
    own(
        "descriptions for fewer codes than there are",
        "as many descriptions as codes",
        table(row=1, description="fever"),
        table(row=1, description="fever;cough"),
    ),
    own("a file of descriptions that is missing", "d.csv is missing", table(), lines="descriptions: d.csv"),
    own(
        "a file of descriptions without codes",
        "lacks the column code",
        table() | {"d.csv": b"a,b\n1,2\n"},
        {"d.csv": b"code,description\nA1,fever\n"},
        lines="descriptions: d.csv",
    ),
    own("a table in Latin-1", "encoding", encoded("Übelkeit", "latin-1"), "encoding: latin-1"),
    own(
        "a table in the encoding of Windows",
        "set `encoding`, such as cp1252",
        encoded("“Übel”", "cp1252"),
        "encoding: cp1252",
    ),
    own("a table in UTF-16", "set `encoding`, such as utf-16", encoded("Übelkeit", "utf-16"), "encoding: utf-16"),
    own("a table that is cut short", "the file is cut short", {"notes.csv": CSV + b'n99,"fever'}),
    own("a row with too many columns", "the header has 3", {"notes.csv": CSV + b"n99,a,b,c\n"}),
    Fault("broken JSON Lines", JSONL, "no JSON object", {"n.jsonl": b'{"id": "1"\n'}),
    Fault(
        "a damaged Parquet file", "source: table\ntable: n.parquet", "cut short or damaged", {"n.parquet": b"PAR1 no"}
    ),
    own("a text in every script", GOOD, table(row=0, text="发热，咳嗽。 Übelkeit \U0001f912")),
    # published splits
    own("a split without a test file", "needs train and test", lines="split_files: {train: a.txt}"),
    own("two kinds of split files", "give one or the other", lines="split_files: {train: a.txt, table: b.csv}"),
    own("a split file that is missing", "a.txt is missing", table(), lines=SPLIT),
    own("an empty split file", "a.txt is empty", table() | {"a.txt": b"", "b.txt": b"n1\n"}, lines=SPLIT),
    own("a note in two splits", "1 ids occur twice", table() | {"a.txt": b"n1\nn2\n", "b.txt": b"n1\n"}, lines=SPLIT),
    own(
        "split files of other notes",
        "no id of train or test",
        table() | {"a.txt": b"100001\n", "b.txt": b"100002\n"},
        lines=SPLIT,
    ),
    own(
        "split files whose ids became numbers",
        "ends in .0, the note's has not",
        as_csv([row | {"id": i} for i, row in enumerate(ROWS)]) | {"a.txt": b"0.0\n1.0\n2.0\n", "b.txt": b"3.0\n"},
        {
            "a.txt": "".join(f"{i}\n" for i in range(40)).encode(),
            "b.txt": "".join(f'"{i}"\n' for i in range(40, 60)).encode(),
        },
        lines=SPLIT,
    ),
    # MIMIC
    Fault("MIMIC without its folder", "source: mimic3", "source mimic3 needs `folder`"),
    mimic("a folder of MIMIC that is missing", "mimic is not a folder", {}),
    mimic("a table of MIMIC that is missing", "lacks D_ICD_DIAGNOSES", WITHOUT_TITLES),
    mimic(
        "a table of MIMIC that is cut short",
        "cut short or damaged (gzip)",
        cut_short(MIMIC_TABLES, "NOTEEVENTS.csv.gz"),
    ),
    mimic(
        "a table of MIMIC without a column",
        "lacks the column ICD9_CODE",
        changed("PROCEDURES_ICD", "ICD9_CODE", "ICD_CODE"),
    ),
    mimic("a table of MIMIC without rows", "holds no rows", changed("ADMISSIONS", r"(?s)\n.*", "\n")),
    mimic("codes of MIMIC that became numbers", "read as a number", changed("DIAGNOSES_ICD", r'"(\d{4})"', r'"\1.0"')),
    mimic(
        "notes of MIMIC without discharge summaries",
        "no row of CATEGORY",
        changed("NOTEEVENTS", "Discharge summary", "Nursing"),
    ),
    mimic(
        "patients of another release",
        "is not from 1 to 99999",
        changed("ADMISSIONS", r"(?m)^(\d+),(\d+),", r"\1,1000\2,"),
    ),
    mimic(
        "notes of MIMIC marked as errors by another word",
        "ISERROR is in",
        changed("NOTEEVENTS", '"",1,"Wrong', '"",True,"Wrong'),
        MIMIC_TABLES,
    ),
    Fault("CodiEsp without its folder", "source: codiesp", "source codiesp needs `folder`"),
    Fault(
        "a folder that does not hold CodiEsp",
        "source: codiesp\nfolder: mimic",
        "does not hold train/ and dev/",
        {"mimic/x": b""},
    ),
]


@functools.cache
def default() -> tuple[Any, nn.Module]:
    return encoder.load(weight_files.MINILM)


def happens(fault: Fault, folder: Path) -> str:
    """What is said before anything is trained; "" where nothing is wrong."""
    for name, data in fault.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    raw = fault.lines if isinstance(fault.lines, bytes) else f"run: x\n{fault.lines}\n".encode()
    (folder / "x.yaml").write_bytes(raw)
    with contextlib.chdir(folder):
        try:
            ((_, full),) = runner.read_all([Path("x.yaml")])
            corpus.build(sources.load(full, folder), full)
            tokenizer, base = (
                default() if full.encoder == weight_files.MINILM else encoder.load(full.encoder, download=full.download)
            )
            encoder.check(tokenizer, base, full.max_tokens)
            adapter_check.check_adapter(base, full)
        except (ValueError, OSError) as error:
            return str(error).replace(f"{folder}/", "").replace(f"{PAGE.parents[1]}/", "")
    return ""


def page() -> str:
    """docs/faults.md as it should be: what is after MIDDLE is written by hand, and kept."""
    lines = []
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as place:
            said = happens(fault, Path(place)).replace("\n", " ").replace("|", "\\|") or "it is read"
        lines.append(f"| {fault.what} | {said if len(said) <= 240 else said[:240] + ' ...'} |")
    return "\n".join([HEAD, *lines, MIDDLE]) + PAGE.read_text(encoding="utf-8").partition(MIDDLE)[2]


HEAD = """# Faults that were tried

Parameters and data that are wrong, and what is said of them before anything is trained. `tests/faults.py` is the list;
a test tries each. Some of the words are those of the libraries that read YAML, check parameters or load an encoder.

| what is wrong | what is said |
| --- | --- |"""
MIDDLE = """
What happens to a machine while a run is at work, or to a run between two commands:

| what goes wrong | what happens | test |
| --- | --- | --- |"""

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{len(FAULTS)} faults, {PAGE}\n")
