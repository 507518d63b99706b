"""What is right, and why, for every question that a notebook asks. Keys: the notebook's number and the question's.

An answer that depends on the run is a function of what it needs. It returns None where the run has nothing to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.declarations import Registry
from shl_utils.evaluation.verdicts import GAINS, MARK
from shl_utils.method import harmonic_weights, label_filter
from shl_utils.method.segmentation import segment
from shl_utils.notebook import mechanisms, primer
from shl_utils.parameters import Parameters

ANSWERS = Registry("question")


@dataclass(frozen=True)
class Answer:
    """right: a number, or one of `choices`. why: said with it. hint: said after a first miss. within: how far a number
    may lie off. unit: of a number, such as %."""

    right: Any
    why: str
    hint: str = ""
    within: float = 0.0
    unit: str = ""
    choices: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As printed."""
        if isinstance(self.right, str):
            return self.right
        digits = f"{self.right:.3g}" if abs(self.right) < 1000 else f"{self.right:,.0f}"
        return f"{digits} {self.unit}".rstrip()

    def holds(self, value: float) -> bool:
        return bool(abs(value - self.right) <= self.within)


YES_NO = ("yes", "no")
FACTORS = {"segmentation": "segments", "filter_labels": "filter"}  # what a reader calls them


@ANSWERS.add("pr-1")
def _() -> Answer:
    found = primer.counts(0.7)
    return Answer(
        100 * found["TP"] / (found["TP"] + found["FP"]),
        f"{found['TP']} of the {found['TP'] + found['FP']} notes that are predicted have the code.",
        "Of the bars that reach the line, how many have the code?",
        within=0.5,
        unit="%",
    )


ANSWERS["pr-2"] = Answer(
    8 * (384 + 384),
    "r (d_in + d_out) = 8 (384 + 384), in place of 384 x 384 = 147,456: a twenty-fourth.",
    "B has 384 rows and 8 columns, A 8 rows and 384 columns.",
)


@ANSWERS.add("00-guess")
def _(illusion: pd.DataFrame) -> Answer:
    return Answer(100 * illusion.loc["no code, ever", "accuracy"], "Nearly all pairs are rightly empty.", unit="%")


@ANSWERS.add("00-roc")
def _(prevalences: dict[str, float]) -> Answer:
    rarest = min(prevalences.values())
    at_half = ", ".join(f"{mechanisms.precision_at_half(rarest, separation):.2f}" for separation in (2, 3, 4))
    return Answer(
        "no for its ROC curve, and yes for its precision",
        f"Where half of the rare code's notes are found, its precision is {at_half} at a separation of 2, 3, 4.",
    )


ANSWERS["00-push"] = Answer((2600 - 3) / 3, "2,597 notes push down, 3 up. Losses for imbalance change this ratio.")


ANSWERS["00-1"] = Answer(
    (28 / 34 + 12 / 26) / 5,
    "28 / 34 = 0.82 for cough, 12 / 26 = 0.46 for fever, 0 for the other three; their mean over five codes.",
    "Take 2 TP / (2 TP + FP + FN) for each code: six notes have a fever. Then the mean over all five codes.",
    within=0.01,
)


@ANSWERS.add("00-2")
def _(counts: NDArray, chosen: int) -> Answer:
    return Answer(
        int((counts >= chosen).sum()),
        f"All are {len(counts)}. The frequent ones alone would be easier to score well on, and no longer the task.",
        "Read where a line of that height meets the long tail above.",
        within=3,
        unit="codes",
    )


@ANSWERS.add("01-guess")
def _(own: NDArray, random: NDArray) -> Answer:
    above = 100 * (own >= np.median(random)).mean()
    return Answer(
        "no, not clearly" if above < 95 else "yes",
        f"{above:.0f} of 100 own codes lie above the middle of the random ones.",
    )


@ANSWERS.add("01-toy")
def _(toy: pd.DataFrame) -> Answer:
    order = toy["similarity"].sort_values()
    why = "The note denies the fracture, affirms the cough and says nothing of sepsis: resemblance tells none of this."
    return Answer(f"from the most alike on: {', '.join(order.index[::-1])}", why)


@ANSWERS.add("01-1")
def _(random: NDArray, chosen: float) -> Answer:
    return Answer(
        100 * (random >= chosen).mean(),
        "A perfect filter would keep none of them. The hills overlap: what spares true codes spares false ones too.",
        "Move the slider there: it is the share of the grey hill to the right of the dashed line.",
        within=3,
        unit="%",
    )


ANSWERS["01-2"] = Answer(
    "rise",
    "The labels that go are like those that the model was trained without, so it misses them most. No note is coded "
    "any better: the gold standard was rewritten.",
    "Which labels go: those that the model finds, or those that it misses?",
    choices=("rise", "fall"),
)


@ANSWERS.add("01-3")
def _(similarity: pd.DataFrame, split: NDArray, p: Parameters, chosen: float) -> Answer:
    changed = p.model_copy(update={"filter_by": "quantile", "filter_threshold": chosen, "filter_labels": "train"})
    table, _ = label_filter.apply(similarity, split, changed)
    stays = table[split[table["note"]] == "train"].groupby("code")["kept"].any()
    return Answer(
        int((~stays).sum()),
        "They have no model then, and are never found. A code's description may be far from every note that has it.",
        "The table of thresholds above has it for others, in the column codes lost.",
        within=2,
        unit="codes",
    )


@ANSWERS.add("02-guess")
def _() -> Answer:
    n = int(segment(np.unique(np.geomspace(1, 700, 200).round().astype(int)), eta=0.5).max()) + 1
    why = "Where codes are dense, each spans about the same factor, so the range decides. The eight above leave gaps."
    return Answer(n, why, unit="segments")


ANSWERS["02-1"] = Answer(
    2,
    "4, 5, 6, 9 stay below 0.5 x 4 = 2; with the 12 it would be 2.93.",
    "A segment ends where its deviation would exceed 0.5 times its smallest count, here 0.5 x 4.",
    unit="segments",
)


@ANSWERS.add("02-2")
def _(table: pd.DataFrame) -> Answer:
    return Answer(
        int(table["segment"].max()) + 1,
        "Deviation and smallest count double alike: ratios alone decide. So a power law has segments of about the same "
        "width on a logarithmic axis.",
        "What happens to the deviation, and what to the smallest count?",
        unit="segments",
    )


@ANSWERS.add("02-3")
def _(counts: NDArray, chosen: float) -> Answer:
    return Answer(
        int(segment(counts, eta=chosen).max()) + 1,
        "A larger eta tolerates more spread within a segment, so there are fewer.",
        "The slider of the corpus shows it.",
        within=1,
        unit="segments",
    )


ANSWERS["03-guess"] = Answer(
    "no, by the paper's loss", "Negatives from frequent segments are many, so each weighs little."
)


ANSWERS["03-1"] = Answer(
    0.05,
    "N_s / N_r = 40 / 800: all 800 together weigh as much as the 40.",
    "All 800 together shall weigh as much as the 40 positives.",
    within=0.001,
)


ANSWERS["03-2"] = Answer(
    20,
    "800 / 40: one note that happens to hold a rare code pulls like twenty. `max_grad_norm` clips the "
    "gradient that follows.",
    "Now the 40 together shall weigh as much as the 800.",
)


@ANSWERS.add("03-3")
def _(came_from: NDArray[np.bool_], chosen: str) -> Answer:
    others = ~came_from[:, 0]
    most = float(harmonic_weights.weights(came_from, 0, beta=chosen)[others].max()) if others.any() else 1.0
    return Answer(
        most,
        "Under R2 and R3 all negatives of a segment weigh alike; under R3 no more together than the positives.",
        "The figure of the three definitions above shows it.",
        within=most / 4,
    )


@ANSWERS.add("04-guess")
def _(by_bin: pd.DataFrame) -> Answer | None:
    rare = by_bin[by_bin.index.get_level_values("group").isin(["0", "1-4", "5-9"])]
    if not rare["positives"].sum():
        return None
    found = rare.assign(right=rare["micro_recall"] * rare["positives"]).groupby("model", sort=False)
    found = found[["right", "positives", "false_positives"]].sum()
    f1 = 200 * found["right"] / (found["right"] + found["false_positives"] + found["positives"])
    scores = "; ".join(f"{name} {value:.1f}" for name, value in f1.items())
    return Answer(str(f1.idxmax()), f"Micro-F1 there: {scores}. Mind how few pairs that is.")


@ANSWERS.add("04-1")
def _(low: float, high: float) -> Answer:
    apart = low > 0 or high < 0
    said = f"all {'above' if low > 0 else 'below'} zero" if apart else "it holds zero, which does not prove them equal"
    return Answer(
        "yes" if apart else "no",
        f"The interval is {100 * low:+.1f} to {100 * high:+.1f} points: {said}.",
        "Does the interval of the gain hold zero?",
        choices=YES_NO,
    )


ANSWERS["04-2"] = Answer(
    100 / 17,
    "One of 17. Read the number of positives beside any score of the tail.",
    "Recall is the share of the true pairs that is found.",
    within=0.6,
    unit="points",
)


@ANSWERS.add("04-3")
def _(at_half: int, chosen: int) -> Answer | None:
    if at_half == chosen:
        return None
    why = "Validation prefers fewer and surer codes here."
    if at_half < chosen:
        why = "F1 is mostly best below 0.5: a code that is right almost half of the time still lifts it."
    return Answer(
        "fewer" if at_half < chosen else "more",
        f"{at_half:,} codes at 0.5, {chosen:,} at the threshold from validation. {why}",
        "Is the threshold in the table above or below 0.5?",
        choices=("more", "fewer"),
    )


@ANSWERS.add("05-guess")
def _(average: pd.DataFrame) -> Answer | None:
    return _most_moved(average, "macro_f1_present", "macro-F1")


@ANSWERS.add("05-1")
def _(average: pd.DataFrame) -> Answer | None:
    return _most_moved(average, "micro_f1", "micro-F1")


def _most_moved(average: pd.DataFrame, metric: str, title: str) -> Answer | None:
    table = average[average["comparable"].astype(bool)]
    if not len(table):
        return None
    most = table[metric].abs().idxmax()
    low, value, high = (100 * table.loc[most, column] for column in (f"{metric}_low", metric, f"{metric}_high"))
    return Answer(
        FACTORS.get(table.loc[most, "factor"], table.loc[most, "factor"]),
        f"Of the averages, {most} moves {title} most: {value:+.1f} [{low:+.1f}, {high:+.1f}] points. "
        f"{'Its interval holds zero, though.' if low < 0 < high else ''}".rstrip(),
        "The table of averages above has it; better or worse alike.",
        choices=tuple(dict.fromkeys(FACTORS.get(factor, factor) for factor in table["factor"])),
    )


@ANSWERS.add("05-2")
def _(rows: int, permutations: int) -> Answer:
    return Answer(
        min(rows / (permutations + 1), 1),
        f"{rows} / {permutations + 1:,}: a p of that size says no more than that chance did not do it once.",
        "The smallest p of one row, times the rows that have one.",
        within=0.00005,
    )


ANSWERS["06-guess"] = Answer(
    "the layers below the trained ones", "They are frozen, so every model needs the same states of them."
)


@ANSWERS.add("06-1")
def _(ratios: pd.Series) -> Answer:
    return Answer(
        ratios["notes seen in training"],
        "All passes would cost the same, so the notes seen decide: the price of a model per segment without a shared "
        "layer.",
        "Every pass then costs the same. Which of the bars above counts how often notes are seen?",
        within=0.1,
    )


@ANSWERS.add("06-2")
def _(main: pd.DataFrame) -> Answer:
    return Answer(
        int(main["core_seconds"].idxmax()),
        "Time follows the notes seen: positives, negatives, and repetitions of both. `min_steps` repeats the notes of "
        "small segments.",
        "The table of the segments above has it.",
    )


@ANSWERS.add("06-3")
def _(flops: pd.Series) -> Answer:
    return Answer(
        100 * flops["frozen"] / flops.sum(),
        "With L layers of which k are trained, about (L - k) / (L + k). Trained layers count twice, forward and "
        "backward; a third pass, for gradients of their own weights, only adapters need.",
        "Trained layers count twice, forward and backward.",
        within=5,
        unit="%",
    )


@ANSWERS.add("07-guess")
def _(tested: pd.DataFrame) -> Answer:
    gains = int(((tested["verdict"] == GAINS) & (tested["mark"] != MARK)).sum())  # what is marked is inconclusive
    return Answer(gains, f"Of {len(tested)} tested lines this many gain; micro- and macro-F1 are counted separately.")


ANSWERS["07-1"] = Answer(
    1,
    "20 x 0.05. A list of verdicts needs a correction, or doubt.",
    "An interval of 95% misses the truth five times in a hundred.",
)


ANSWERS["07-2"] = Answer(
    9,
    "A width falls with the root of the notes, where they are all that varies. Seeds and codes do not grow with "
    "them, so more.",
    "A width falls with the square root of the number of notes.",
)


@ANSWERS.add("08-toy")
def _(codes: pd.DataFrame) -> Answer:
    given = codes[codes["predicted"]]
    falls = {
        line.description: line.probability - sentence.probability_without
        for line in given.itertuples()
        for sentence in line.sentences
        if sentence.start == 0
    }
    denied = given[given["description"].str.casefold() == "pneumothorax"]
    said = []
    for name, probability in zip(denied["description"], denied["probability"]):
        by_word = "falls without" if name in falls else "does not fall without"
        said.append(f"{name} is given at {probability:.2f} though the note denies it, and {by_word} its sentence.")
    if not falls:
        return Answer("none of the predicted ones", " ".join([*said, "No predicted code needs the first sentence."]))
    return Answer(max(falls, key=falls.get), " ".join([*said, "What a model needs need not be what is said."]))


@ANSWERS.add("08-guess")
def _(share: float, chance: float) -> Answer | None:
    if share != share:
        return None
    return Answer(100 * share, f"By chance it would be {100 * chance:.0f} %.", unit="%")


@ANSWERS.add("08-1")
def _(heard: pd.DataFrame) -> Answer | None:
    if not len(heard):
        return None
    kept = int((heard["negated"] >= heard["threshold"]).sum())
    return Answer(
        10 * kept / len(heard),
        f"{kept} of {len(heard)} codes that are given where they are asserted are given where they are denied. In "
        "training, a code whose word a report holds is mostly there.",
        "Do the models look for a word, or for what is said of it?",
        within=1,
        unit="of ten",
    )


ANSWERS["08-2"] = Answer(
    "yes",
    "Each stands in for the other. Only without both would the code fall.",
    "What would happen without both?",
    choices=YES_NO,
)
