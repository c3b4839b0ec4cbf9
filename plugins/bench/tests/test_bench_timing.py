"""Pairs, ratios and goals; with costs that are given, so nothing here depends on a clock."""

import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mdkif import Command, MdkifError
from mdkif_bench import mdkif_commands
from mdkif_bench.timing import agree, alternately, at_least, at_most, quartiles, row, seconds

costs = st.lists(st.tuples(*(st.floats(1e-3, 1e3),) * 2), min_size=1, max_size=12)


def apart(pairs):
    return [ours for ours, _ in pairs], [peer for _, peer in pairs]


def test_bench_timing_declares_the_command_bench():
    [declared] = mdkif_commands()
    assert isinstance(declared, Command)
    assert declared.load().name == declared.name == "bench"


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_bench_timing_both_are_measured_in_turn_and_each_first_as_often(repeats):
    order = []

    def cost(name, value):
        order.append(name)
        return value

    ours, peer = alternately(lambda: cost("ours", 1.0), lambda: cost("peer", 2.0), repeats)
    assert (ours, peer) == ([1.0] * repeats, [2.0] * repeats)
    assert order == (["ours", "peer", "peer", "ours"] * repeats)[: 2 * repeats]


def test_bench_timing_work_is_done_once_and_takes_time():
    done = []
    assert seconds(lambda: done.append(1)) > 0
    assert done == [1]


@given(costs)
def test_bench_timing_ratio_is_the_median_of_the_pairs(pairs):
    least, most = row("x", apart(pairs), at_least(2.0)), row("x", apart(pairs), at_most(2.0))
    assert least["ratio"] == pytest.approx(statistics.median(peer / ours for ours, peer in pairs))
    assert most["ratio"] == pytest.approx(statistics.median(ours / peer for ours, peer in pairs))
    for made in (least, most):
        assert made["spread"][0] <= made["ratio"] * (1 + 1e-9)
        assert made["ratio"] <= made["spread"][1] * (1 + 1e-9)
        assert made["ours"] == statistics.median(ours for ours, _ in pairs)
    assert least["met"] is (least["ratio"] >= 2.0)
    assert most["met"] is (most["ratio"] <= 2.0)
    assert (least["wanted"], least["goal"]) == ("at least", 2.0)


@given(costs)
def test_bench_timing_amount_of_work_is_shown_as_a_rate_and_changes_no_ratio(pairs):
    plain, rate = (row("x", apart(pairs), at_least(1.3), amount=amount) for amount in (0, 640))
    assert rate["ratio"] == plain["ratio"]
    assert rate["peer"] == pytest.approx(statistics.median(640 / peer for _, peer in pairs))


def test_bench_timing_without_a_goal_nothing_is_met():
    made = row("x", ([1.0], [3.0]), None, "MiB")
    assert (made["goal"], made["wanted"], made["met"]) == (None, None, None)
    assert (made["ratio"], made["spread"], made["unit"]) == (3.0, [3.0, 3.0], "MiB")


def test_bench_timing_quartiles():
    assert quartiles([5.0]) == [5.0, 5.0]
    assert quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == [2.0, 4.0]


def test_bench_timing_agreement_is_relative_to_the_largest_value():
    theirs = torch.tensor([100.0, 1.0])
    agree("them", theirs + 0.009, theirs, 1e-4)
    with pytest.raises(MdkifError, match=r"disagrees with them by 2\.0e-04 of the largest value"):
        agree("them", theirs + 0.02, theirs, 1e-4)
    agree("them", theirs + 0.02, theirs, 1e-3)
    with pytest.raises(MdkifError):
        agree("them", torch.tensor([float("nan")]), torch.ones(1), 1e-4)
