"""Where in a model an activation is read or changed: a layer and a site in it."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from activations.errors import UserError

Site = Literal["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"]
"""Places in a transformer block, all of shape [row, position, d_model].

`resid_pre`: the residual stream as the block receives it. `attn_out`: what attention adds to it.
`resid_mid`: the stream after that. `mlp_out`: what the MLP adds. `resid_post`: the stream as the
block hands it on.
"""
SITES: tuple[Site, ...] = get_args(Site)

_NAME = re.compile(r"blocks\.(\d+)\.hook_(\w+)")


@dataclass(frozen=True, order=True)
class HookPoint:
    """A layer (counted from 0) and a site; `str` gives TransformerLens's name for it."""

    layer: int
    site: Site

    def __post_init__(self) -> None:
        """Refuse a negative layer and an unknown site (UserError)."""
        if self.layer < 0:
            raise UserError(f"a hook point's layer counts from 0, got {self.layer}")
        if self.site not in SITES:
            raise UserError(f"unknown site {self.site!r}: valid sites are {', '.join(SITES)}")

    def __str__(self) -> str:
        """Return TransformerLens's name, as in `blocks.3.hook_resid_post`."""
        return f"blocks.{self.layer}.hook_{self.site}"

    @classmethod
    def parse(cls, name: str) -> "HookPoint":
        """Read a name such as `blocks.3.hook_resid_post`; UserError with the valid sites otherwise."""
        match = _NAME.fullmatch(name)
        for site in SITES:
            if match and match[2] == site:
                return cls(int(match[1]), site)
        raise UserError(
            f"cannot read hook point {name!r}: expected blocks.LAYER.hook_SITE, with SITE one of "
            f"{', '.join(SITES)}"
        )
