"""The table of public names."""

from collections import Counter
from importlib.util import find_spec

from widenet._names import _HOMES, HOME


def test_every_module_of_the_table_exists():
    assert all(find_spec(module) is not None for module in _HOMES)


def test_a_name_has_one_home():
    counts = Counter(name for names in _HOMES.values() for name in names.split())
    assert counts.most_common(1)[0][1] == 1
    assert set(counts) == set(HOME)
