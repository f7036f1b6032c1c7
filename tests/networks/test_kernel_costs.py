"""Costs against counts by hand, and blocks that keep to the memory limit."""

import pytest

from widenet.errors import MemoryLimitExceeded
from widenet.networks.kernel_costs import (
    Task,
    Work,
    jacobian_work,
    lay_out,
    products_work,
    structured_work,
    way_of,
)
from widenet.networks.module_structure import PartSize, Structure
from widenet.networks.structured import Part

DENSE = PartSize(groups=1, positions=1, inputs=512, outputs=256, parameters=512 * 256 + 256)


def structure(*sizes: PartSize) -> Structure:
    parts = tuple((Part(f"{i}.weight", f"{i}.bias", ()), size) for i, size in enumerate(sizes))
    total = sum(size.parameters for size in sizes)
    return Structure(10, 2 * total, 4096, parts, (), total)


def task(form="trace", rows=100, columns=100, symmetric=False, limit=2**30) -> Task:
    return Task(rows, columns, symmetric, form, 8, limit)


def test_flops_of_a_dense_layer():
    assert structured_work(structure(DENSE), 0, task()).a_pair == 2 * (512 + 10 * 256)
    assert structured_work(structure(DENSE), 0, task("full")).a_pair == 2 * (512 + 100 * 256)
    assert structured_work(structure(DENSE), 0, task()).kept == 8 * (512 + 10 * 256)
    P = DENSE.parameters
    assert jacobian_work(structure(DENSE), P, task()).a_pair == 2 * 10 * P
    assert jacobian_work(structure(DENSE), P, task("full")).a_pair == 2 * 100 * P
    assert jacobian_work(structure(DENSE), P, task("full")).kept == 8 * 10 * P
    assert products_work(structure(DENSE), task()).a_pair == 3 * 10 * 2 * P


def test_few_positions_are_kept_and_many_are_summed():
    many = PartSize(groups=1, positions=256, inputs=27, outputs=32, parameters=27 * 32)
    few = PartSize(groups=1, positions=4, inputs=4608, outputs=512, parameters=4608 * 512)
    for form in ("trace", "full"):
        assert way_of(many, 10, task(form)) == "gradients"
        assert way_of(few, 10, task(form)) == "pairs of positions"
    assert way_of(DENSE, 10, task()) == "outer products"
    assert way_of(PartSize(4, 4, 9, 1, 36), 10, task()) == "gradients"
    assert way_of(PartSize(0, 1, 64, 0, 128), 10, task()) == "gradients"


SLICED = PartSize(groups=1, positions=64, inputs=288, outputs=64, parameters=64 * 288 + 64)


def test_gradients_that_outgrow_their_factors_are_formed_in_slices():
    assert way_of(SLICED, 10, task()) == "gradients in slices"
    work = structured_work(structure(SLICED), 0, task())
    assert work.kept == 8 * (64 * (288 + 10 * 64) + 10 * 288)
    assert (work.a_pair, work.forming) == (2 * 10 * SLICED.parameters, 2 * 10 * 64 * SLICED.parameters)
    every = lay_out(work, structure(SLICED), task())
    # One block of 100 points meets the other once, and each forms its gradients.
    assert every.flops == 200 * (work.a_point + work.forming) + 100**2 * work.a_pair
    many = lay_out(work, structure(SLICED), task(columns=600))
    assert many.columns == 300  # of at most 404 that take 192 MiB
    assert many.flops == 700 * work.a_point + (2 * 100 + 600) * work.forming + 100 * 600 * work.a_pair
    itself = lay_out(work, structure(SLICED), task(symmetric=True))
    assert itself.flops == 100 * (work.a_point + work.forming) + 5050 * work.a_pair


def test_a_symmetric_kernel_is_half_of_the_pairs():
    assert task(symmetric=True).pairs == 100 * 101 / 2
    assert task(rows=30, columns=20).pairs == 600
    assert [task(form).result(10) for form in ("trace", "per_output", "full")] == [80_000, 800_000, 8_000_000]


@pytest.mark.parametrize("form", ["trace", "full"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_blocks_keep_to_the_limit(form, symmetric):
    work = structured_work(structure(DENSE), 0, task(form, symmetric=symmetric))
    free = lay_out(work, structure(DENSE), task(form, symmetric=symmetric))
    assert (free.rows, free.batch) == (100, 100)
    last, result = free.seconds, task(form).result(10)
    beside = result + min(3 * result, 2**25)  # the result and what a tile of it takes
    for part in (0.8, 0.3):
        limit = beside + int(part * (free.memory - beside))
        found = lay_out(work, structure(DENSE), task(form, symmetric=symmetric, limit=limit))
        assert found.memory <= limit
        assert found.seconds >= last
        last = found.seconds
    with pytest.raises(MemoryLimitExceeded, match="100 x 100 points needs at least"):
        lay_out(work, structure(DENSE), task(form, symmetric=symmetric, limit=1000))


@pytest.mark.parametrize(("threads", "batch"), [(1, 3), (2, 2), (3, 3), (8, 3)])
def test_batches_are_shared_among_threads(threads, batch, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    work = Work(a_point=100.0, a_pair=1.0, moved=0.0, kept=1000, passing=2**24)
    assert lay_out(work, structure(DENSE), task()).batch == batch


def test_points_are_evaluated_again_for_every_block():
    work = Work(a_point=100.0, a_pair=1.0, moved=0.0, kept=1000, passing=10)
    beside = 8 * 100 * 100 * 4
    found = lay_out(work, structure(DENSE), task(limit=beside + 60_000))
    strips = -(-100 // found.rows)
    assert strips > 1
    assert found.flops == 100 * (100 + strips * 100) + 100 * 100
