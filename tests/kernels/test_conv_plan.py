"""The order of a step's numbers is the one that the loops name them by."""

from widenet.kernels import _fused_conv as loops
from widenet.kernels.conv_plan import Step


def test_integers_and_reals_stand_where_the_loops_look_for_them():
    words = "kind source other target grid grid_after rows columns stride stride_columns pad pad_columns "
    words += "activation trained signed roots other_roots inverses channels sites fast"
    places = {name: getattr(loops, name.upper()) for name in words.split()}
    assert sorted(places.values()) == list(range(21))
    for name, place in places.items():
        boolean = name in {"trained", "signed", "fast"}
        value = not getattr(Step(0), name) if boolean else 7
        step = Step(7) if name == "kind" else Step(0, **{name: value})
        assert step.integers[place] == int(value), name
    for name in ("GAIN", "ODD", "EVEN", "BIAS", "OTHER_GAIN"):
        assert Step(0, **{name.lower(): 7.5}).reals[getattr(loops, name)] == 7.5
