"""Seeds that differ by purpose, and the order of training rows."""

from grokkit.randomness import derive_seed, row_order


def test_seeds_differ_by_purpose():
    seeds = {derive_seed(s, p, n) for s in (0, 1, 42) for p in ("init", "order") for n in (0, 1, 11)}
    assert len(seeds) == 18 and all(0 <= seed < 2**63 for seed in seeds)


def test_row_order_is_a_permutation_of_its_own():
    assert sorted(row_order(42, 0, 100).tolist()) == list(range(100))
    assert row_order(42, 0, 100).tolist() != row_order(42, 1, 100).tolist()
    assert row_order(42, 3, 100).tolist() == row_order(42, 3, 100).tolist()
