import subprocess
import sys
from importlib import import_module

import pytest

from undertext import activations
from undertext.activations import SITES, HookPoint, UserError


@pytest.mark.parametrize("site", SITES)
def test_a_name_is_read_back_as_written(site):
    point = HookPoint(12, site)
    assert str(point) == ("blocks.12.attn.hook_z" if site == "z" else f"blocks.12.hook_{site}")
    assert HookPoint.parse(str(point)) == point


@pytest.mark.parametrize(
    "name",
    [
        "",
        "blocks.3",
        "blocks.3.resid_post",
        "blocks.x.hook_resid_post",
        "blocks.-1.hook_resid_post",
        "blocks.3.hook_z",
        "blocks.3.attn.hook_resid_post",
    ],
)
def test_a_name_that_cannot_be_read_lists_the_sites(name):
    with pytest.raises(
        UserError, match=r"resid_pre, resid_mid, resid_post, attn_out, mlp_out, or blocks.LAYER.attn.hook_z"
    ):
        HookPoint.parse(name)


def test_an_unknown_site_lists_the_sites():
    # In a fresh interpreter: the type checks that tests add would refuse it first.
    code = "from undertext.activations import HookPoint; HookPoint(0, 'resid')"
    error = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert "UserError: unknown site 'resid': valid sites are resid_pre, resid_mid" in error


def test_a_negative_layer_is_refused():
    with pytest.raises(UserError, match="-1"):
        HookPoint(-1, "resid_post")


def test_points_sort_by_layer():
    assert sorted([HookPoint(10, "attn_out"), HookPoint(2, "resid_post")])[0].layer == 2


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, undertext.activations; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", activations.__all__)
def test_every_public_name_loads(name):
    assert getattr(activations, name) is not None


def test_capture_is_the_function_whatever_was_imported_first():
    module = import_module("undertext.activations.capture")
    assert callable(activations.capture)
    assert activations.capture is module.capture


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="captures"):
        activations.captures  # noqa: B018 (the access is what is tested)
