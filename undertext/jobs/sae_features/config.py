"""The settings of `sae features`."""

from typing import Annotated

from pydantic import Field

from undertext.core.config import AskedConfig
from undertext.measures.features.config import EncodingConfig

Text = Annotated[str, Field(min_length=1)]


class FeaturesConfig(AskedConfig, EncodingConfig):
    """How `sae features` measures."""

    words: tuple[Text, ...] | None = None
    """Words of reasoning for ReasonScore and token injection; None takes a list of English words (wait,
    therefore, ...), so a task written in other words needs its own."""
    inject: int = Field(default=3, ge=1)
    """Number of words inserted into each text without reasoning."""
    plain_texts: tuple[Text, ...] | None = None
    """Texts without reasoning; None takes the task's prompts."""
