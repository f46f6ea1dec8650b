"""sae-lens's `SAE` as a name for signatures, without importing sae-lens: five seconds, and an extra."""

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from sae_lens import SAE as SAE
else:
    SAE = nn.Module  # what every SAE is
