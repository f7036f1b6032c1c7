"""What every test and doctest runs under: checked shapes, one thread, repeatable random inputs."""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType

# Before the first import of NumPy or torch: workers of the suite share the cores, and one thread each is repeatable.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import HealthCheck, settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402


class _NumbaModules(MetaPathFinder):
    """Imports files named `_fused*` as they are: Numba compiles their source and cannot see through a checker."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.startswith("widenet.") and fullname.rpartition(".")[2].startswith("_fused"):
            return PathFinder.find_spec(fullname, path, target)
        return None


# Every annotation of widenet is checked at each call.
install_import_hook("widenet", "checked_annotations.checked")
sys.meta_path.insert(0, _NumbaModules())

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Triton comes with torch's CUDA builds alone; without it there is nothing to import.
collect_ignore = [] if find_spec("triton") else ["src/widenet/kernels/_fused_triton.py"]
