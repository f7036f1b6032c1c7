"""The suite's own set-up: annotations of widenet are checked at run time, the Numba loops are left alone."""

import sys

import hypothesis
import pytest
import torch
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import TypeCheckError

from widenet import _arrays


def test_a_wrong_argument_type_is_refused():
    with pytest.raises((TypeCheckError, BeartypeCallHintParamViolation)):
        _arrays.format_bytes("many")  # pyright: ignore[reportArgumentType]


def test_an_integer_passes_for_a_float():
    assert _arrays.format_bytes(1024) == "1 KiB"


def test_numba_modules_are_imported_without_the_checker():
    fused = [module for name, module in sys.modules.items() if name.startswith("widenet.") and "._fused" in name]
    assert all("jaxtyping" not in vars(module) for module in fused)
    assert "jaxtyping" in vars(_arrays)


def test_random_inputs_are_the_same_in_every_run():
    assert hypothesis.settings.default is not None
    assert hypothesis.settings.default.derandomize


def test_one_thread_a_worker():
    assert torch.get_num_threads() == 1
