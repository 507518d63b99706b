"""What goes wrong with parameters and data, tried one by one: the list behind docs/faults.md.

python tests/faults.py    writes that page anew, with what is said now.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import re
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from shl_utils import runner
from shl_utils.data import corpus, sources
from shl_utils.data.sources import synthetic
from shl_utils.encoder import encoder, weight_files
from shl_utils.training import adapter_check

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
ROWS = [{"id": f"n{i}", "text": f"Fever on day {i}.", "codes": "A1;B2" if i % 2 else "B2"} for i in range(60)]
TABLE = "source: table\ntable: notes.csv"
MIMIC = "source: mimic3\nfolder: mimic"
MINILM = sorted(weight_files.location(weight_files.MINILM).iterdir())
GOOD = object()  # nothing is wrong after all


@dataclass(frozen=True)
class Fault:
    """what: in words. lines: of the parameter file behind `run: x`, or all of it as bytes. files: what lies beside it.
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


def table(*, row: int = 0, drop: str = "", **cells) -> dict[str, bytes]:
    """notes.csv with other cells in a row, or without a column."""
    rows = [dict(line) for line in ROWS]
    rows[row] |= cells
    out = io.StringIO()
    names = [name for name in dict.fromkeys(n for line in rows for n in line) if name != drop]
    writer = csv.DictWriter(out, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return {"notes.csv": out.getvalue().encode()}


def every(**cells) -> dict[str, bytes]:
    """notes.csv with these cells in every row."""
    return {"notes.csv": pd.DataFrame([line | cells for line in ROWS]).to_csv(index=False).encode()}


def cycled(*cells: str, column: str = "codes") -> dict[str, bytes]:
    """notes.csv with these cells in a column, one after the other."""
    rows = [line | {column: cells[i % len(cells)]} for i, line in enumerate(ROWS)]
    return {"notes.csv": pd.DataFrame(rows).to_csv(index=False).encode()}


def numbered() -> dict[str, bytes]:
    """notes.csv with numbers for ids."""
    return {"notes.csv": pd.DataFrame(ROWS).assign(id=range(len(ROWS))).to_csv(index=False).encode()}


def mimic(name: str = "", change=lambda data: data) -> dict[str, bytes]:
    """Tables in the form of MIMIC-III, one of them changed; None takes it away."""
    with tempfile.TemporaryDirectory() as place:
        synthetic.write(Path(place) / "t", notes=100, seed=0)
        files = {f"mimic/{path.name}": path.read_bytes() for path in (Path(place) / "t").glob("*.csv.gz")}
    key = f"mimic/{name}.csv.gz"
    if name:
        changed = change(files.pop(key))
        files |= {} if changed is None else {key: changed}
    return files


def text(change):
    """A change of what a packed table says."""
    return lambda data: gzip.compress(change(gzip.decompress(data).decode()).encode())


SPLIT = f"{TABLE}\nsplit_files: {{train: a.txt, test: b.txt}}"
PLAIN_TOKEN = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)


def minilm(name: str, changed: dict) -> dict[str, bytes]:
    """The default encoder as a folder `enc`, with one of its files changed."""
    files = {f"enc/{path.name}": path.read_bytes() for path in MINILM if path.is_file()}
    known = json.loads(files[f"enc/{name}"])
    more = {key: known.get(key, []) + value if isinstance(value, list) else value for key, value in changed.items()}
    return files | {f"enc/{name}": json.dumps(known | more).encode()}


FAULTS = [
    # parameters
    Fault("a misspelt parameter", "epocs: 3", "unknown parameter 'epocs', did you mean 'epochs'?"),
    Fault("a parameter under its earlier name", "clip: 0.0", "'clip': it is called max_grad_norm now"),
    Fault("a value under its earlier name", "threshold: label", "got 'label': it is called per_code now"),
    Fault("a grid under its earlier name", "grid: ours", "grid 'ours': it is called extensions now"),
    Fault("a parameter twice", "epochs: 3\nepochs: 4", "given more than once: epochs"),
    Fault("a tab in YAML", "\tepochs: 3", "not valid YAML"),
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
    Fault("an unknown source", "source: mimic5", "Input should be 'openi'"),
    Fault("an unknown beta", "beta: R4", "Input should be 'R1', 'R2' or 'R3'"),
    Fault("gamma between 0 and 1", "gamma: 0.5", "infinite gradients"),
    Fault("a quantile above 1", "filter_threshold: 1.0", "filter_threshold is a quantile here"),
    Fault("no layer to train", "lora_layers: 0", "trains no layer"),
    Fault("more layers than there are", f"{TABLE}\nlora_layers: 9", "all-MiniLM-L6-v2 has 6 layers", table()),
    Fault("chunks longer than notes", "chunk_tokens: 256", "chunk_tokens 256 exceeds max_tokens 128"),
    Fault("more tokens than the encoder reads", f"{TABLE}\nmax_tokens: 4096", "reads at most 512", table()),
    Fault("no notes left for training", "validation_share: 0.45\ntest_share: 0.48", "less than a tenth of the notes"),
    Fault("fp16 without a GPU", "precision: fp16", "needs a GPU"),
    Fault("two ways of several processes", "parallel_models: 2\nprocesses: 2", "leave processes and nodes at 1"),
    Fault("a meeting place without port", "rendezvous: host", "rendezvous: String should match"),
    Fault("one code alone", "top_codes: 1", "at least two codes are needed"),
    Fault("an unknown grid", "grid: factorail", "factorail.yaml is missing"),
    Fault("a grid that is no name", "grid: {}", "grid: Input should be a valid string"),
    Fault(
        "a misspelt factor in a grid",
        "grid: g.yaml",
        "unknown factor 'los', did you mean 'loss'?",
        {"g.yaml": b"- los: [bce]\n"},
    ),
    Fault("an impossible level in a grid", "grid: g.yaml", "gamma", {"g.yaml": b"- loss: [focal]\n  gamma: [0.5]\n"}),
    Fault("a grid without blocks", "grid: g.yaml", "expected blocks", {"g.yaml": b"loss: bce\n"}),
    Fault("an encoder that is nowhere", f"{TABLE}\nencoder: BERT", "encoder 'BERT' could not be loaded", table()),
    Fault(
        "a folder that holds no encoder",
        f"{TABLE}\nencoder: enc",
        "encoder 'enc' could not be loaded",
        table() | {"enc/config.json": b"{}"},
    ),
    Fault(
        "an encoder whose weights are cut short",
        f"{TABLE}\nencoder: enc",
        "one is damaged",
        table()
        | {
            f"enc/{p.name}": p.read_bytes()[: 200_000_000 if p.suffix == ".json" else 5_000]
            for p in MINILM
            if p.is_file()
        },
    ),
    Fault(
        "a tokenizer of more words than the model has",
        f"{TABLE}\nencoder: enc",
        "give a folder whose tokenizer and weights belong together",
        table() | minilm("tokenizer.json", {"added_tokens": [{"id": 30522, "content": "[MORE]"} | PLAIN_TOKEN]}),
    ),
    Fault(
        "weights that config.json does not describe",
        f"{TABLE}\nencoder: enc",
        "give a complete checkpoint",
        table() | minilm("config.json", {"max_position_embeddings": 256}),
    ),
    Fault(
        "an encoder that asks for code of its own",
        f"{TABLE}\nencoder: enc",
        "give another encoder",
        table() | minilm("config.json", {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}),
    ),
    # a table of one's own
    Fault("a table without its path", "source: table", "source table needs `table`"),
    Fault("a table that another source would not read", "table: notes.csv", "add `source: table`"),
    Fault("a table that is missing", TABLE, "notes.csv is missing"),
    Fault("a table of another kind", "source: table\ntable: notes.xlsx", "must end in .csv", {"notes.xlsx": b"x"}),
    Fault("a table without rows", TABLE, "holds no rows", {"notes.csv": b"id,text,codes\n"}),
    Fault("an empty file", TABLE, "holds no rows", {"notes.csv": b""}),
    Fault("a table without ids", TABLE, "lacks the column id", table(drop="id")),
    Fault("a table with the text under another name", TABLE, "lacks the column text", table(drop="text")),
    Fault(
        "a column named that is not there",
        f"{TABLE}\ncolumn_names: {{text: report}}",
        "lacks the column report",
        table(),
        TABLE,
    ),
    Fault(
        "a table with its own names of the columns",
        TABLE,
        "say in `column_names` what the file calls it",
        {"notes.csv": table()["notes.csv"].replace(b"id,text,codes", b"key,report,icd")},
        f"{TABLE}\ncolumn_names: {{id: key, text: report, codes: icd}}",
    ),
    Fault("a column that no table has", f"{TABLE}\ncolumn_names: {{txt: report}}", "column_names", table()),
    Fault("an id twice", TABLE, "repeats in all: make it unique", table(row=3, id="n0"), table()),
    Fault("a blank id", TABLE, "row 3, column id", table(row=2, id=" ")),
    Fault("a blank text", TABLE, "row 3, column text", table(row=2, text=" ")),
    Fault("a note without codes", TABLE, "row 3, column codes", table(row=2, codes="")),
    Fault("codes taken for numbers", TABLE, "row 3, column codes", table(row=2, codes="4019.0")),
    Fault("one code in all notes", TABLE, "one code only", every(codes="A1")),
    Fault(
        "all codes in all notes",
        f"{TABLE}\ntop_codes: 2",
        "every note has all 2 codes",
        cycled("A1;B2;C3", "A1;B2"),
        TABLE,
    ),
    Fault(
        "codes separated by commas",
        TABLE,
        'set `separator: ","`',
        cycled("A1,B2", "B2", "A1,C3", "C3"),
        f'{TABLE}\nseparator: ","',
    ),
    Fault(
        "codes separated by bars",
        TABLE,
        "codes look separated by",
        cycled("A1|B2", "B2", "A1|C3", "C3"),
        f'{TABLE}\nseparator: "|"',
    ),
    Fault(
        "a tab as separator that YAML does not read as one",
        f"{TABLE}\nseparator: \\t",
        'set `separator: "\\t"`',
        cycled("A1\tB2", "B2", "A1\tC3", "C3"),
        f'{TABLE}\nseparator: "\\t"',
    ),
    Fault(
        "codes separated by signs that may belong to them",
        TABLE,
        'a code that holds it is written in a list, ["A1,B2"]',
        cycled("A/B", "B", "B/C", "C/A", "A"),
        cycled('["A/B"]', '["B"]', '["B/C"]', '["C/A"]', '["A"]'),
    ),
    Fault(
        "two separators in one column",
        TABLE,
        "write one of them in all rows",
        cycled("A1,B2", "B2;C3", "C3,A1"),
        cycled("A1;B2", "B2;C3", "C3;A1"),
    ),
    Fault("lists as pandas writes them", TABLE, GOOD, cycled("['A1', 'B2']", "['B2']", "['C3', 'A1']")),
    Fault("lists as JSON writes them", TABLE, GOOD, cycled('["A1", "B2"]', '["B2"]', '["C3", "A1"]')),
    Fault(
        "sets of codes as a database writes them",
        TABLE,
        "a list that cannot be read",
        cycled("{A1,B2}", "{B2}", "{C3,A1}"),
        cycled("A1;B2", "B2", "C3;A1"),
    ),
    Fault(
        "a column of 0 and 1 for each code",
        TABLE,
        "columns of 0 and 1 are not read",
        {"notes.csv": b"id,text,A1,B2\n" + b"".join(b"n%d,fever %d,%d,1\n" % (i, i, i % 2) for i in range(60))},
        table(),
    ),
    Fault(
        "codes that a spreadsheet made dates", TABLE, "read as a number or date", table(row=2, codes="2-Jan"), table()
    ),
    Fault(
        "codes that lost a zero",
        f"{TABLE}\ndescriptions: d.csv",
        "have one with zeros before them",
        table(row=1, codes="16.53;A1") | {"d.csv": b"code,description\n016.53,x\nA1,y\nB2,z\n"},
        table(row=1, codes="016.53;A1"),
    ),
    Fault(
        "patients read as numbers in some rows",
        TABLE,
        "column group: read as a number",
        cycled(*(f"{i}.0" if i % 7 == 0 else f"{i}" for i in range(60)), column="group"),
        cycled(*map(str, range(60)), column="group"),
    ),
    Fault("unseen marks in ids and codes", TABLE, GOOD, table(row=1, id="\u200bn1", codes="B2\ufeff")),
    Fault(
        "a table of a European spreadsheet",
        TABLE,
        GOOD,
        {"notes.csv": b"\xef\xbb\xbfsep=;\r\n" + pd.DataFrame(ROWS).to_csv(index=False, sep=";").encode()},
    ),
    Fault(
        "empty columns of a spreadsheet", TABLE, GOOD, {"notes.csv": table()["notes.csv"].replace(b"\r\n", b",,\r\n")}
    ),
    Fault(
        "quotes with a backslash before them",
        TABLE,
        'write them double, "" for',
        {"notes.csv": table()["notes.csv"] + b'n99,"said \\"no\\", x",A1\n'},
        {"notes.csv": table()["notes.csv"] + b'n99,"said ""no"", x",A1\n'},
    ),
    Fault(
        "half a character",
        "source: table\ntable: n.jsonl",
        "column text: it holds half a character",
        {
            "n.jsonl": b"".join(
                b'{"id": "%d", "text": "x %d \\ud83d", "codes": ["A", "%d"]}\n' % (i, i, i % 2) for i in range(60)
            )
        },
        {
            "n.jsonl": b"".join(
                b'{"id": "%d", "text": "x %d", "codes": ["A", "%d"]}\n' % (i, i, i % 2) for i in range(60)
            )
        },
    ),
    Fault("a note to show that the test has not", f"{TABLE}\nshown_note: nobody", "leave it empty", table(), TABLE),
    Fault("a split that is none", TABLE, "use train, validation, test", every(split="dev")),
    Fault("a split without a test", TABLE, "a split needs train and test", every(split="train")),
    Fault(
        "fewer notes than a split needs",
        TABLE,
        "leave too few",
        {"notes.csv": b"id,text,codes\n" + b"".join(b"%d,fever,A;B\n" % i for i in range(3))},
    ),
    Fault("codes all too rare", f"{TABLE}\nmin_notes: 1000", "lower `min_notes`", table(), f"{TABLE}\nmin_notes: 3"),
    Fault(
        "descriptions for fewer codes than there are",
        TABLE,
        "as many descriptions as codes",
        table(row=1, description="fever"),
        table(row=1, description="fever;cough"),
    ),
    Fault("a file of descriptions that is missing", f"{TABLE}\ndescriptions: d.csv", "d.csv is missing", table()),
    Fault(
        "a file of descriptions without codes",
        f"{TABLE}\ndescriptions: d.csv",
        "lacks the column code",
        table() | {"d.csv": b"a,b\n1,2\n"},
        {"d.csv": b"code,description\nA1,fever\n"},
    ),
    Fault(
        "a table in Latin-1",
        TABLE,
        "encoding",
        {"notes.csv": table(row=0, text="Übelkeit")["notes.csv"].decode().encode("latin-1")},
        f"{TABLE}\nencoding: latin-1",
    ),
    Fault(
        "a table in the encoding of Windows",
        TABLE,
        "set `encoding`, such as cp1252",
        {"notes.csv": table(row=0, text="“Übel”")["notes.csv"].decode().encode("cp1252")},
        f"{TABLE}\nencoding: cp1252",
    ),
    Fault(
        "a table in UTF-16",
        TABLE,
        "set `encoding`, such as utf-16",
        {"notes.csv": table(row=0, text="Übelkeit")["notes.csv"].decode().encode("utf-16")},
        f"{TABLE}\nencoding: utf-16",
    ),
    Fault(
        "a table that is cut short", TABLE, "the file is cut short", {"notes.csv": table()["notes.csv"] + b'n99,"fever'}
    ),
    Fault(
        "a row with too many columns", TABLE, "the header has 3", {"notes.csv": table()["notes.csv"] + b"n99,a,b,c\n"}
    ),
    Fault("broken JSON Lines", "source: table\ntable: n.jsonl", "no JSON object", {"n.jsonl": b'{"id": "1"\n'}),
    Fault(
        "a damaged Parquet file", "source: table\ntable: n.parquet", "cut short or damaged", {"n.parquet": b"PAR1 no"}
    ),
    Fault("a text in every script", TABLE, GOOD, table(row=0, text="发热，咳嗽。 Übelkeit \U0001f912")),
    # published splits
    Fault("a split without a test file", f"{TABLE}\nsplit_files: {{train: a.txt}}", "needs train and test"),
    Fault("two kinds of split files", f"{TABLE}\nsplit_files: {{train: a.txt, table: b.csv}}", "give one or the other"),
    Fault("a split file that is missing", SPLIT, "a.txt is missing", table()),
    Fault("an empty split file", SPLIT, "a.txt is empty", table() | {"a.txt": b"", "b.txt": b"n1\n"}),
    Fault("a note in two splits", SPLIT, "1 ids occur twice", table() | {"a.txt": b"n1\nn2\n", "b.txt": b"n1\n"}),
    Fault(
        "split files of other notes", SPLIT, "none of the 2 ids", table() | {"a.txt": b"100001\n", "b.txt": b"100002\n"}
    ),
    Fault(
        "split files whose ids became numbers",
        SPLIT,
        "ends in .0, the note's has not",
        numbered() | {"a.txt": b"0.0\n1.0\n2.0\n", "b.txt": b"3.0\n"},
        {
            "a.txt": "".join(f"{i}\n" for i in range(40)).encode(),
            "b.txt": "".join(f'"{i}"\n' for i in range(40, 60)).encode(),
        },
    ),
    # MIMIC
    Fault("MIMIC without its folder", "source: mimic3", "source mimic3 needs `folder`"),
    Fault("a folder of MIMIC that is missing", MIMIC, "mimic is not a folder"),
    Fault(
        "a table of MIMIC that is missing", MIMIC, "lacks D_ICD_DIAGNOSES", mimic("D_ICD_DIAGNOSES", lambda data: None)
    ),
    Fault(
        "a table of MIMIC that is cut short",
        MIMIC,
        "cut short or damaged (gzip)",
        mimic("NOTEEVENTS", lambda data: data[: len(data) // 2]),
    ),
    Fault(
        "a table of MIMIC without a column",
        MIMIC,
        "lacks the column ICD9_CODE",
        mimic("PROCEDURES_ICD", text(lambda t: t.replace("ICD9_CODE", "ICD_CODE", 1))),
    ),
    Fault(
        "a table of MIMIC without rows",
        MIMIC,
        "holds no rows",
        mimic("ADMISSIONS", text(lambda t: t.splitlines()[0] + "\n")),
    ),
    Fault(
        "codes of MIMIC that became numbers",
        MIMIC,
        "read as a number",
        mimic("DIAGNOSES_ICD", text(lambda t: re.sub(r'"(\d{4})"', r'"\1.0"', t))),
    ),
    Fault(
        "notes of MIMIC without discharge summaries",
        MIMIC,
        "no row of CATEGORY",
        mimic("NOTEEVENTS", text(lambda t: t.replace("Discharge summary", "Nursing"))),
    ),
    Fault(
        "patients of another release",
        MIMIC,
        "is not from 1 to 99999",
        mimic("ADMISSIONS", text(lambda t: re.sub(r"^(\d+),(\d+),", r"\1,1000\2,", t, flags=re.M))),
    ),
    Fault(
        "notes of MIMIC marked as errors by another word",
        MIMIC,
        "ISERROR is in",
        mimic("NOTEEVENTS", text(lambda t: t.replace('"",1,"Wrong', '"",True,"Wrong'))),
        mimic(),
    ),
    Fault("CodiEsp without its folder", "source: codiesp", "source codiesp needs `folder`"),
    Fault(
        "a folder that does not hold CodiEsp",
        "source: codiesp\nfolder: mimic",
        "does not hold train/ and dev/",
        {"mimic/x": b""},
    ),
]


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
            tokenizer, base = encoder.load(full.encoder, download=full.download)
            encoder.check(tokenizer, base, full.max_tokens)
            adapter_check.check_adapter(base, full)
        except (ValueError, OSError) as error:
            return str(error).replace(f"{folder}/", "").replace(f"{PAGE.parents[1]}/", "")
    return ""


def page() -> str:
    """docs/faults.md as it should be."""
    lines = []
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as place:
            said = happens(fault, Path(place)).replace("\n", " ").replace("|", "\\|") or "it is read"
        lines.append(f"| {fault.what} | {said if len(said) <= 240 else said[:240] + ' ...'} |")
    machine = [f"| {what} | {then} | `{test}` |" for what, then, test in MACHINE]
    return "\n".join([HEAD, *lines, MIDDLE, *machine]) + "\n"


HEAD = """# Faults that were tried

Parameters and data that are wrong, and what is said of them before anything is trained. `tests/faults.py` is the list;
a test tries each. Some of the words are those of the libraries that read YAML, check parameters or load an encoder.

| what is wrong | what is said |
| --- | --- |"""
# what, what happens, and the test of it
MACHINE = [
    (
        "the training is killed (kill -9) at random moments",
        "the same command ends in the same models",
        "training/test_loop.py::test_killed_at_any_moments_it_ends_in_the_same_models",
    ),
    (
        "Ctrl-C, then a full disk in the middle of a stage",
        "the stage stops and says so; once there is room the same command goes on and ends in the same weights",
        "test_notebooks.py::test_ctrl_c_and_a_full_disk_lose_nothing",
    ),
    (
        "a job of a batch fails, another is killed",
        "the others go on; the same command does these two again and no more",
        "experiments/test_snakemake_jobs.py::test_only_what_failed_or_was_killed_is_done_again",
    ),
    (
        "two commands in one run folder",
        "the second stops and says that the folder is in use; a killed one leaves no lock",
        "test_machine.py::test_a_second_command_in_the_same_folder_stops_and_a_killed_one_leaves_no_lock",
    ),
    (
        "two runs begin at once in one folder while the machine is busy, thirty times",
        "both run: each notebook has sockets of its own, in a closed folder that goes with it",
        "test_kernels.py::test_thirty_starts_in_pairs_from_one_folder_beside_a_busy_loop",
    ),
    (
        "another python3 kernel, start-up files of IPython, warnings as errors, a torch.py in the working folder",
        "no notebook sees them",
        "test_kernels.py::test_what_the_user_has_set_up_stays_outside",
    ),
    (
        "variables of Accelerate, of another launch or of a compiler are set",
        "training ends in the same weights",
        "runs/test_environment_variables.py::test_training_is_the_same_whatever_accelerate_is_told_outside",
    ),
    (
        "`shl status` where the output knows ASCII only",
        "letters that it does not know are escaped, and the exit code is what it would be",
        "test_speech.py::test_a_reader_of_another_encoding_is_told_all_it_can_read",
    ),
    (
        "`shl run` into a pipe that is closed",
        "the run goes on",
        "test_speech.py::test_a_run_goes_on_when_nobody_listens",
    ),
    (
        "`run` names a folder that holds other things",
        "nothing is written there, and its rights stay",
        "runs/test_locations.py::test_a_folder_of_other_things_is_left_as_it_is",
    ),
    (
        "what Windows lacks is taken away: fcntl, resource, fork, unix sockets",
        "a run goes through all stages",
        "test_windows.py::test_a_run_goes_through_all_stages_without_it",
    ),
    (
        "the clock is set back, or a folder comes from the future",
        "nothing is done again: digests count, not times",
        "test_machine.py::test_a_clock_that_was_set_changes_nothing",
    ),
    (
        "the folder of the runs cannot be written",
        "exit code 2 before any stage, with the folder's name",
        "test_machine.py::test_a_folder_that_cannot_be_written_is_named",
    ),
    (
        "blanks and other scripts in paths",
        "they are taken as they are",
        "test_machine.py::test_blanks_and_other_scripts_in_paths",
    ),
    (
        "a line of the package or of a notebook is changed",
        "`shl run` runs the stages whose code it is and trains the models that depend on it, and no others",
        "runs/test_dependencies.py::test_a_changed_line_outdates_exactly_what_it_made",
    ),
    (
        "code is changed while a stage is at work",
        "the stage is stamped with the code that ran, and so is outdated",
        "runs/test_stages.py::test_code_that_changes_while_a_stage_is_at_work_is_not_what_ran",
    ),
    (
        "a notebook of a finished run is opened, or run half way",
        "what it had finished stands until its files change",
        "runs/test_stages.py::test_is_done_knows_parameters_files_and_interruptions",
    ),
    (
        "a notebook of a finished run is given another eta",
        "it says what that would outdate and how to take another run; nothing is changed",
        "test_notebooks.py::test_another_eta_is_tried_in_a_run_of_its_own",
    ),
    (
        "other weights lie in the folder of a run's encoder",
        "the stages from `01_filter` on are outdated, and `shl predict` refuses",
        "inference/test_export.py::test_an_encoder_that_is_a_folder_is_told_without_its_path_and_counts_by_its_content",
    ),
    (
        "parameter files of two folders name the same run and tables of the same names",
        "each reads its own; the run says what it was made with",
        "test_notebooks.py::test_relative_paths_are_those_from_the_parameter_file",
    ),
    (
        "a result was altered or deleted",
        "the stage that made it is run again, and what stands behind it",
        "test_notebooks.py::test_an_altered_result_is_made_again",
    ),
    (
        "a note's text in an error of a private source",
        "it is in none: the file, row and column are named",
        "test_notebooks.py::test_a_failing_private_stage_shows_no_text",
    ),
]
MIDDLE = """
What happens to a machine while a run is at work, or to a run between two commands:

| what goes wrong | what happens | test |
| --- | --- | --- |"""

if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{len(FAULTS)} faults, {PAGE}\n")
