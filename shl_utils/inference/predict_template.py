"""Codes for one note by the adapters in this folder, with transformers and peft alone.

python predict.py note.txt             the encoder that about.json names, from where transformers has it
python predict.py note.txt ENCODER     another location of the same encoder: a folder, or a name on the Hugging Face hub
"""

import csv
import json
import re
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).parent


def probabilities(text, encoder=None):
    """Probability of every code that has a model, as {code: probability}."""
    about = json.loads((HERE / "about.json").read_text(encoding="utf-8"))
    encoder = encoder or about["encoder"]
    if not encoder:
        sys.exit(f"name the folder of the encoder after the note: {about['folder']}, whose digest is {about['digest']}")
    for pattern, instead in about["plain"]:
        text = re.sub(pattern, instead, text)
    for pattern in about["blanked"]:
        text = re.sub(pattern, lambda found: " " * len(found.group()), text)
    seen = AutoTokenizer.from_pretrained(encoder, truncation_side="right")(
        text, truncation=True, max_length=about["max_tokens"], return_tensors="pt"
    )
    found = {}
    for part, codes in about["segments"].items():
        net = PeftModel.from_pretrained(AutoModel.from_pretrained(encoder, dtype=torch.float32), HERE / part).eval()
        head = load_file(HERE / part / "head.safetensors")
        with torch.no_grad():
            hidden = net(**seen).last_hidden_state[0]
            # a head without attention queries uses the mean over the tokens
            scores = hidden @ head.get("query", torch.zeros_like(head["weight"])).T / hidden.shape[1] ** 0.5
            logits = (scores.softmax(dim=0) * (hidden @ head["weight"].T)).sum(dim=0) + head["bias"]
        found |= dict(zip(codes, logits.sigmoid().tolist()))
    return found


def main(arguments):
    try:
        text = Path(arguments[0]).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        sys.exit(f"{arguments[0]} is not utf-8: save it so")
    if not text.strip():
        sys.exit(f"{arguments[0]} is blank: there is nothing to code")
    found = probabilities(text, *arguments[1:2])
    with (HERE / "codes.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["code"] in found]
    for row in sorted(rows, key=lambda row: -found[row["code"]]):
        mark = "*" if found[row["code"]] >= float(row["threshold"]) else " "
        print(f"{mark} {found[row['code']]:.4f}  {row['code']}  {row['description']}")


if __name__ == "__main__":
    main(sys.argv[1:])
