"""Reading a decision log: histories against loops, and every malformed log refused with its row."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_agents.reference_audit import history

from llma_tutorial.many_agents.audit import report
from llma_tutorial.many_agents.logs import bayesian, read_log


def table() -> pd.DataFrame:
    """Two runs of three decisions."""
    return pd.DataFrame(
        {
            "run": [0, 0, 0, 1, 1, 1],
            "order": [0, 1, 2, 0, 1, 2],
            "action": [1, 1, 0, 0, 0, 0],
            "signal": [1, 0, 0, 0, 1, 0],
            "truth": [1, 1, 1, 0, 0, 0],
        }
    )


def changed(column, row, value, dtype=object) -> pd.DataFrame:
    frame = table().astype({column: dtype})
    frame.loc[row, column] = value
    return frame


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=5), st.randoms())
def test_history_is_that_of_plain_loops_whatever_the_order_of_rows(runs, shuffle):
    rows = [(f"run {r}", k, a) for r, actions in enumerate(runs) for k, a in enumerate(actions)]
    shuffle.shuffle(rows)
    log = read_log(pd.DataFrame(rows, columns=["run", "order", "action"]))
    n_actions = max(2, 1 + max(max(actions) for actions in runs))
    for code, label in enumerate(log.labels):
        mine = log.run == code
        expected = history(runs[int(label.split()[1])], n_actions)
        assert log.counts[:, mine].T.tolist() == [counts for counts, _, _ in expected]
        assert log.leader[mine].tolist() == [leader for _, leader, _ in expected]
        assert log.lead[mine].tolist() == [lead for _, _, lead in expected]


def test_rows_may_come_in_any_order_and_orders_may_count_from_one():
    log, _ = bayesian(60, 12, rng=np.random.default_rng(1))
    expected = str(report(log))
    shuffled = log.sample(frac=1, random_state=1)
    assert str(report(shuffled)) == expected
    assert str(report(log.assign(order=log["order"] + 1, run="run " + log["run"].astype(str)))) == expected


def test_file_and_table_agree(tmp_path):
    log, _ = bayesian(40, 10, rng=np.random.default_rng(2))
    log.to_csv(tmp_path / "log.csv", index=False)
    assert str(report(str(tmp_path / "log.csv"))) == str(report(log))


def test_input_is_not_changed():
    log, _ = bayesian(40, 10, rng=np.random.default_rng(2))
    before = log.copy()
    report(log)
    pd.testing.assert_frame_equal(log, before)


@pytest.mark.parametrize("name", ["run", "order", "action"])
def test_missing_column(name):
    with pytest.raises(ValueError, match=f"must have the columns run, order, action. Got none called {name}"):
        report(table().drop(columns=name))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (changed("order", 2, 3, int), "Got 3 where 2 was due in run 0, row 3"),
        (changed("order", 3, 1, int).assign(order=[0, 1, 2, 2, 3, 4]), "Got 2 where 0 was due in run 1, row 4"),
        (table().assign(order=[5, 6, 7, 5, 6, 7]), "Got 5 where 1 was due in run 0, row 1"),
        (changed("order", 4, 0, int), "Got 0 of run 1 in row 4 and again in row 5"),
        (pd.concat([table(), table().iloc[[1]]]), "Got 1 of run 0 in row 2 and again in row 7"),
        (changed("action", 3, "buy"), "Got 'buy', a word, in row 4; number the choices"),
        (table().assign(action=["buy", "buy", "sell", "sell", "buy", "buy"]), "Got 'buy', a word, in row 1"),
        (changed("action", 4, "1"), "`action` must hold whole numbers from 0 in every row. Got '1', a word, in row 5"),
        (changed("action", 4, "1.5"), "Got '1.5', a word, in row 5"),
        (changed("action", 1, [1]), "of type list, in row 2"),
        (changed("action", 2, -1, int), "Got -1 in row 3"),
        (changed("signal", 5, 0.5, float), "`signal` must hold whole numbers from 0 in every row. Got 0.5 in row 6"),
        (changed("order", 5, 1e300, float), "Got 1e\\+300 in row 6"),
        (changed("action", 5, 50, int), "numbered from 0 to 49 at most. Got 50 in row 6"),
        (changed("signal", 1, np.nan, float), "Got a gap in row 2; leave the column out"),
        (changed("run", 1, None), "`run` must be filled in every row. Got a gap in row 2"),
        (changed("run", 4, "one"), "`run` must hold labels of one type. Got 0 in row 1 and 'one' in row 5"),
        (changed("truth", 1, 0, int), "Got 0 in row 2, run 0"),
        (table().iloc[:0], "must hold decisions"),
        (pd.concat([table(), table()[["action"]]], axis=1), "each column once. Got action more than once"),
    ],
)
def test_malformed_tables_are_refused_with_the_row(frame, words):
    with pytest.raises(ValueError, match=words):
        report(frame)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "as many fields in each line"),
        ("run,order,action\n", "must hold decisions"),
        ("run,order,action\n1,0,1\n1,1,buy\n", "Got 'buy', a word, in row 2"),
        ("run,order,action\n1,0,1\n1,1\n", "`action` must be filled in every row. Got a gap in row 2"),
        ("run,order,action\n1,0,1\n1,1,0,1\n", "as many fields in each line. Got: .*line 3"),
        ("run,order,action\n1,0,1,1\n1,1,0,1\n", "Got more in row 1 than names"),
        ("run,order,action,action\n1,0,1,0\n", "each column once. Got action more than once"),
        ("run;order;action\n1;0;1\n", "must have the columns run, order, action"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, words):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        report(tmp_path / "log.csv")


def test_settings_are_checked():
    for name, wrong in (("margin", 0), ("margin", 1), ("level", 1.0), ("reach", 0), ("reach", 1.5)):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            report(table(), **{name: wrong})


def test_whole_floats_booleans_and_plain_objects_are_numbers():
    expected = str(report(table()))
    assert str(report(table().astype({"action": float, "signal": bool, "truth": object}))) == expected
