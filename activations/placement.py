"""Where a model is put: on one device, or over several."""

from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line

_SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways of accelerate's to spread a model over the devices that there are."""

Device = str | torch.device | Mapping[str, str | int | torch.device]
"""Where a model is put: on one device, spread over all in one of accelerate's ways, or module by module."""


def parse_device(device: str | torch.device) -> torch.device:
    """The device meant; UserError when there is no such device on this machine."""
    try:
        parsed = torch.device(device)
        torch.empty(0, device=parsed)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device {device!r} cannot be used here: {one_line(error)}") from error
    return parsed


def parse_placement(device: Device) -> str | dict[str, torch.device]:
    """The `device_map` meant; UserError for a device that is not on this machine."""
    if isinstance(device, Mapping):
        if not device or not all(isinstance(name, str) for name in device):
            raise UserError(
                "a device map names modules, each with its device, as in "
                f"{{'model.embed_tokens': 'cuda:0', 'lm_head': 'cuda:1'}}, got {shown(repr(device), 80)}"
            )
        return {name: parse_device(_numbered(place)) for name, place in device.items()}
    if isinstance(device, str) and device in _SPREAD:
        return device
    return {"": parse_device(device)}


def _numbered(place: str | int | torch.device) -> str | torch.device:
    """accelerate's maps call a GPU by its number."""
    return f"cuda:{place}" if isinstance(place, int) else place


def check_placed(model: PreTrainedModel, name: str) -> None:
    """UserError where weights stay off all devices (accelerate's offloading) to be fetched in each pass."""
    away = sum(parameter.is_meta for parameter in model.parameters())
    if away:
        raise UserError(
            f"{shown(name)}: {away} of its weights are on no device, but on disk or in main memory to be "
            "fetched in each pass, which is not supported: use more devices, or a shorter dtype"
        )
