"""LoRA's linear map against PEFT's own."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners import lora
from torch import nn

from shl_utils.encoder import lora_linear
from shl_utils.encoder.lora_linear import LoraLinear


def adapted(ours, *, bias=True):
    """A net with an adapter whose two factors both matter, by our layer or by PEFT's."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 9, bias=bias), nn.Tanh(), nn.Linear(9, 5, bias=bias))
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["0", "2"])
    if ours:
        config._register_custom_module({nn.Linear: LoraLinear})
    net = get_peft_model(net, config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, values in net.named_parameters():
            if "lora_B" in name:
                values.normal_(generator=generator)
    layers = [module for module in net.modules() if isinstance(module, lora.Linear)]
    assert [type(layer) for layer in layers] == [LoraLinear if ours else lora.Linear] * 2
    return net


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_peft(dtype, bias):
    found = []
    for ours in (True, False):
        net = adapted(ours, bias=bias)
        net = net.double() if dtype == torch.float64 else net
        x = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(2), dtype=next(net.parameters()).dtype)
        x.requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = net(x)
        (y.float() ** 2).sum().backward()
        weights = {name: values.grad for name, values in net.named_parameters() if values.requires_grad}
        assert y.dtype == dtype
        assert len(weights) == 4
        found.append({"y": y, "x": x.grad} | weights)
    close = {torch.float64: 1e-6, torch.float32: 1e-5, torch.bfloat16: 4e-2}[dtype]  # the sum is in float32
    for name, ours in found[0].items():
        assert ours.dtype == found[1][name].dtype
        scale = found[1][name].abs().max()
        assert (ours - found[1][name]).abs().max() <= close * scale, name


def test_gradients_are_those_of_finite_differences():
    make = torch.Generator().manual_seed(0)
    shapes = {"x": (2, 3, 4), "w": (5, 4), "bias": (5,), "a": (2, 4), "b": (5, 2)}
    given = {n: torch.randn(shape, generator=make, dtype=torch.float64) for n, shape in shapes.items()}
    for name in ("x", "a", "b"):
        given[name].requires_grad_()
    assert torch.autograd.gradcheck(lambda *values: lora_linear._Product.apply(*values, 1.5), tuple(given.values()))


def test_the_merged_map_is_the_same_and_its_files_are_those_of_peft(tmp_path):
    net, x = adapted(True), torch.randn(7, 6)
    expected = net(x)
    net.save_pretrained(tmp_path / "ours")
    adapted(False).save_pretrained(tmp_path / "theirs")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    assert torch.allclose(net.merge_and_unload()(x), expected, atol=1e-5)
