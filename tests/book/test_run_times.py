"""The table of run times: every chapter is in it and within its limit."""

import run_times


def test_every_chapter_is_measured_and_within_its_limit():
    assert run_times.faults(run_times.TABLE, list(run_times.chapters())) == []


def test_a_slow_chapter_and_a_missing_one_are_seen(tmp_path):
    table = tmp_path / "times.csv"
    run_times.write(table, "0.1, monday", {"a": 3.0, "b": 30.5, "gone": 1.0})
    assert run_times.faults(table, ["a", "b", "c"]) == ["c: not measured", "b: 30.5 s"]
    run_times.write(table, "0.2, tuesday", {"a": 4.0, "b": 2.0, "c": 1.0})
    assert run_times.faults(table, ["a", "b", "c"]) == []
    assert run_times.read(table) == {
        "a": {"0.1, monday": "3.0", "0.2, tuesday": "4.0"},
        "b": {"0.1, monday": "30.5", "0.2, tuesday": "2.0"},
        "c": {"0.1, monday": "", "0.2, tuesday": "1.0"},
    }


def test_a_few_measurements_are_kept(tmp_path):
    table = tmp_path / "times.csv"
    for day in range(8):
        run_times.write(table, f"day {day}", {"a": day})
    assert list(run_times.read(table)["a"]) == [f"day {day}" for day in (3, 4, 5, 6, 7)]
