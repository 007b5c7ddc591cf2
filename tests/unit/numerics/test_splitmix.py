"""The one SplitMix64: its known outputs, and that everything built on it keeps its bits."""

from __future__ import annotations

import numpy as np

from engage_spark.graph.kernels.community import visiting_order
from engage_spark.ml.fairness.proxy import _halves
from engage_spark.numerics.column_profile import hashes_of_numbers
from engage_spark.numerics.random_draws import mix
from engage_spark.numerics.splitmix import GOLDEN, mix64
from engage_spark.synth.hashing import Permutation, uniform

STATES = np.array([0, 1, 5, 2**63, 2**64 - 1], np.uint64)
MIXED = [0, 0x5692161D100B05E5, 0xB6BF613DBEBB45DC, 0x25C26EA579CEA98A, 0xB4D055FCF2CBBD7B]


def test_the_first_numbers_of_the_published_generator_come_out() -> None:
    """Seed 1234567 of Vigna's splitmix64.c."""
    counters = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * GOLDEN
    assert mix64(counters).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_compiled_finaliser_gives_the_same_bits_as_that_of_numpy() -> None:
    assert mix64(STATES).tolist() == MIXED
    assert [int(mix(x)) for x in STATES] == MIXED


def test_the_argument_stays_as_it_is() -> None:
    given = STATES.copy()
    mix64(given)
    assert np.array_equal(given, STATES)


def test_the_order_in_which_communities_visit_vertices_is_fixed() -> None:
    assert visiting_order(12, 3).tolist() == [10, 7, 11, 9, 4, 1, 3, 5, 2, 6, 8, 0]


def test_the_hashes_of_sampled_values_are_fixed() -> None:
    assert hashes_of_numbers(np.array([0.0, 1.5, -2.0, 1e300])).tolist() == [
        0xE220A8397B1DCDAF,
        0xD6DAB18E1392608A,
        0x09590F27F150C2B1,
        0xFF5A832A738C19A6,
    ]


def test_synthetic_numbers_are_fixed() -> None:
    assert uniform(7, "age", np.arange(4)).tolist() == [
        0.8043836411969473,
        0.6330537281314014,
        0.24465885837759604,
        0.484327893540745,
    ]
    assert Permutation(7, "p", 10).forward(np.arange(10)).tolist() == [4, 0, 2, 6, 8, 1, 3, 9, 5, 7]


def test_the_halves_of_the_proxy_test_are_fixed() -> None:
    order, fitted = _halves(np.array([5, -3, 9, 0, 2**62, 11]), 4)
    assert order.tolist() == [4, 3, 1, 5, 0, 2]
    assert fitted.tolist() == [True, False, False, True, False, False]
