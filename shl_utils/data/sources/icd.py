"""ICD codes: from MIMIC's form without dots to the official one."""

from __future__ import annotations


def dotted(code: str, *, version: int, procedure: bool) -> str:
    """An undotted code with its dot, in the official form; `code` must be in upper case.

    ICD-9-CM (official guidelines, volumes 1 and 3): procedures PP.pp, diagnoses DDD.dd, Vdd.dd and Eddd.d. ICD-10-CM:
    diagnoses XXX.xxxx. ICD-10-PCS has no dot, and neither has a code that is no longer than its category.
    """
    category = 4 if version == 9 and code.startswith("E") else 3
    if procedure:
        category = 2 if version == 9 else len(code)
    return f"{code[:category]}.{code[category:]}" if len(code) > category else code
