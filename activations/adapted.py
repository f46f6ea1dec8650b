"""Live PEFT models whose adapters work inside the base model's own modules."""

from typing import Any

from peft import PeftModel, PeftType
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import PreTrainedModel

from undertext.activations.errors import UserError


def inner_model(wrapped: PeftModel, name: str) -> PreTrainedModel:
    """The Hugging Face model inside, its adapter at work in it and not merged.

    UserError for adapters that need the wrapper's own forward pass (learned prompts, activated LoRA,
    a mixture of LoRAs): the model inside would run without them.
    """
    inner: Any = wrapped.get_base_model()
    for adapter, config in wrapped.peft_config.items():
        outside = config.is_prompt_learning or getattr(config, "alora_invocation_tokens", None)
        kind = PeftType(config.peft_type)
        if outside or kind == PeftType.XLORA or not isinstance(inner, PreTrainedModel):
            raise UserError(
                f"{name}: its adapter {adapter!r} ({kind.value}) works outside the model's own "
                "modules; valid are adapters inside them, such as LoRA"
            )
    checked: PreTrainedModel = inner
    return checked


def adapter_settings(model: nn.Module) -> list[str]:
    """A line for each module that holds adapters: which are active, and how strongly. Empty without any."""
    return [
        f"{name} {'off' if module.disable_adapters else module.active_adapters} "
        f"{sorted(getattr(module, 'scaling', {}).items())}\n"
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer)
    ]
