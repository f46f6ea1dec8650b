"""Where in a model an activation is read or changed: a layer and a site in it."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from undertext.activations.checks import is_whole
from undertext.activations.errors import UserError, shown

Site = Literal["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z"]
"""Places in a transformer block; activations are [row, position, d_model], but for `z`.

`resid_pre`: the residual stream as the block receives it. `attn_out`: what attention adds to it,
after the norm that some models (Gemma 2 and 3) put there. `resid_mid`: the stream after that, which
a block that runs attention and MLP side by side does not have. `mlp_out`: what the MLP adds, after
its norm where there is one; in a mixture of experts, their weighted sum. `resid_post`: the stream
as the block hands it on. `z`: the heads' outputs that attention's output projection reads, one head
after the other, [row, position, n_heads * d_head].

The sites are listed in this order wherever all of them are: the stream, what is added to it, heads.
"""
SITES: tuple[Site, ...] = get_args(Site)
GateAt = Literal["last_prompt", "prompt", "generated", "all"]
"""The tokens at which an intervention acts: the prompt's last one, all of the prompt, every
generated token once it is read back in, or prompt and generated alike."""

_NAMES: dict[Site, str] = {site: "attn.hook_z" if site == "z" else f"hook_{site}" for site in SITES}
_NAME = re.compile(r"blocks\.(\d+)\.(.+)")


@dataclass(frozen=True, order=True)
class HookPoint:
    """A layer (counted from 0) and a site; `str` gives TransformerLens's name for it."""

    layer: int
    site: Site

    def __post_init__(self) -> None:
        """Refuse a negative layer and an unknown site (UserError)."""
        if not is_whole(self.layer):
            raise UserError(f"a hook point's layer is a whole number, got {shown(repr(self.layer), 60)}")
        if self.layer < 0:
            raise UserError(f"a hook point's layer counts from 0, got {self.layer}")
        if self.site not in SITES:
            raise UserError(f"unknown site {self.site!r}: valid sites are {', '.join(SITES)}")

    def __str__(self) -> str:
        """Return TransformerLens's name, as in `blocks.3.hook_resid_post` or `blocks.3.attn.hook_z`."""
        return f"blocks.{self.layer}.{_NAMES[self.site]}"

    @classmethod
    def parse(cls, name: str) -> "HookPoint":
        """Read a name such as `blocks.3.hook_resid_post`; UserError with the valid sites otherwise."""
        match = _NAME.fullmatch(name)
        for site in SITES:
            if match and match[2] == _NAMES[site]:
                return cls(int(match[1]), site)
        raise UserError(
            f"cannot read hook point {name!r}: expected blocks.LAYER.hook_SITE, with SITE one of "
            f"{', '.join(site for site in SITES if site != 'z')}, or blocks.LAYER.attn.hook_z"
        )
