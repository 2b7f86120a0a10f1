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


def test_peaks_are_those_of_the_steps_alone(monkeypatch):
    """Reset just before them, whatever was held then; with what torch keeps."""
    calls = []
    for name, value in {
        "reset_peak_memory_stats": None,
        "max_memory_allocated": 3e9,
        "max_memory_reserved": 4e9,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, name=name, value=value: calls.append(name) or value)
    said = bench.peak_of(torch.device("cuda", 0), lambda: calls.append("step"))
    assert said == ", peak 3.0 GB, 4.0 GB reserved"
    assert calls == ["reset_peak_memory_stats", *["step"] * 8, "max_memory_allocated", "max_memory_reserved"]


def test_rows_are_written_as_they_come_and_one_that_fails_stops_no_other(monkeypatch, tmp_path):
    monkeypatch.setenv("GROKKIT_FIGURES", str(tmp_path))
    written = tmp_path / "bench/cpu.csv"

    def too_large():
        yield bench.row("first", 1.0)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB\nmore")

    def measure(device, quick):
        yield from bench.tried("large", too_large())
        assert "first" in written.read_text() and "not measured (CUDA out of memory" in written.read_text()
        yield from bench.tried("small", iter([bench.row("last", 2.0)]))

    monkeypatch.setattr(bench, "measure", measure)
    bench.main("cpu")
    assert written.read_text().count("\n") == 4 and "last" in written.read_text()
