"""The losses as printed, one note and one code at a time, with sigmoid, log and exp: for float64."""

import torch

SCALE = 2.0  # factor on the logits of negatives in NTR
TEMPERATURES = 4.0, 1.0  # of positives and negatives in two-way


def printed(name, setting, z, t, w):
    """setting: arguments of the loss. z, t: (notes, codes). w: (notes,)."""
    notes, codes = z.shape
    if name == "two_way":
        return printed_two_way(z, t, w, *TEMPERATURES)
    total = 0.0
    for i in range(notes):
        if name == "zlpr":
            above = sum(torch.exp(z[i, c]) for c in range(codes) if t[i, c] == 0)
            below = sum(torch.exp(-z[i, c]) for c in range(codes) if t[i, c] == 1)
            total = total + w[i] * (torch.as_tensor(1 + above).log() + torch.as_tensor(1 + below).log())
        else:
            for c in range(codes):
                total = total + w[i] * printed_pair(name, z[i, c], t[i], c, setting)
    return total / notes


def printed_pair(name, z, t, c, setting):
    gamma, weight = setting.get("gamma", 0.0), 1.0
    if name == "asymmetric":
        p = torch.sigmoid(z)
        shifted = torch.clamp(p - setting["negative_margin"], min=0)
        return -torch.log(p) if t[c] == 1 else -(shifted ** setting["gamma_negative"]) * torch.log(1 - shifted)
    if name == "weighted_bce" and t[c] == 1:
        weight = setting["positive"][c].double()
    if "code" in setting:
        weight = setting["code"][c].double()
    if "rarity" in setting:
        asked = sum(setting["rarity"][k].double() for k in range(len(t)) if t[k] == 1)
        r = setting["rarity"][c].double() / asked if asked else torch.tensor(torch.inf)
        weight = 0.1 + torch.sigmoid(10 * (r - setting["offset"]))
    if "bias" in setting:
        z = z + setting["bias"][c].double()
        if t[c] == 0:
            z, weight = SCALE * z, weight / SCALE
    q = torch.sigmoid(z) if t[c] == 1 else 1 - torch.sigmoid(z)
    return -weight * (1 - q) ** gamma * torch.log(q)


def printed_two_way(z, t, w, t_p, t_n):
    def pair(values, held, mass):
        wrong = t_n * torch.log(sum(m * torch.exp(v / t_n) for v, h, m in zip(values, held, mass) if h == 0))
        right = t_p * torch.log(sum(m * torch.exp(-v / t_p) for v, h, m in zip(values, held, mass) if h == 1))
        return torch.log(1 + torch.exp(wrong + right))

    both = [i for i in range(len(z)) if t[i].any()]
    by_note = sum(w[i] * pair(z[i], t[i], torch.ones(z.shape[1])) for i in both if not t[i].all()) / len(both)
    seen = [c for c in range(z.shape[1]) if t[:, c].any()]
    by_code = sum(pair(z[:, c], t[:, c], w) for c in seen if not t[:, c].all()) / len(seen)
    return by_note + by_code
