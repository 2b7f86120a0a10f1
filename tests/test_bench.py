"""The benchmark runs from end to end at the smallest size, and its lines say what they should."""

import bench
import pytest
import torch


@pytest.mark.long
def test_the_quick_benchmark_has_every_kind_of_row(capsys):
    bench.main("cpu", quick=True)
    said = capsys.readouterr().out
    for what in (
        "ceiling",
        "training step",
        "evaluation of all splits",
        "charts and trees of",
        "of 40 words",
        "data: dyck",
    ):
        assert what in said
    assert "written to" not in said


def test_times_are_medians_of_turns():
    calls = []
    times = bench.seconds(torch.device("cpu"), 3, lambda: calls.append("a"), lambda: calls.append("b"))
    assert calls == ["a", "b"] * 4 and len(times) == 2  # one warm-up and three turns


def test_a_line_is_in_milliseconds_with_both_ratios():
    line = bench.row("x", 0.3, floor=0.1, plain=0.6)
    assert (round(line["ms"]), round(line["floor_ms"]), round(line["plain_ms"])) == (300, 100, 600)
    assert round(line["over_floor"], 9) == 3 and round(line["over_plain"], 9) == 0.5
