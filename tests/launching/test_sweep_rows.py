"""Paired settings of a sweep: rows in its file, or in a CSV file beside it."""

import pytest

from mrikit.errors import ConfigError
from mrikit.launching.sweep_file import read_sweep

HEAD = 'task = "brain_sampling"\ndata = "DATA"\n'
RATES = '[settings]\n"training.max_lr" = [1e-3, 1e-4]\n'
ROWS = (
    HEAD
    + """rows = [
    {"data.mask_kind" = "uniform"},
    {"data.mask_kind" = "random_tile", "data.mask_settings.seed" = 1},
    {"data.mask_kind" = "random_tile", "data.mask_settings.seed" = 2},
]
"""
)
TABLE = "data.mask_kind,data.mask_settings.seed\nuniform,\nrandom_tile,1\nrandom_tile,2\n"


def read(tmp_path, text, table=None):
    (tmp_path / "masks.toml").write_text(text)
    if table is not None:
        (tmp_path / "masks.csv").write_text(table)
    return read_sweep(tmp_path / "masks.toml")


def test_settings_of_a_row_go_together_and_each_row_with_all_products(tmp_path):
    members = [dict(one.settings) for one in read(tmp_path, ROWS + RATES).members()]
    assert len(members) == 6
    assert members[0] == {"data.mask_kind": "uniform", "training.max_lr": "0.001"}
    masks = [(one["data.mask_kind"], one.get("data.mask_settings.seed")) for one in members]
    assert masks == [("uniform", None)] * 2 + [("random_tile", "1")] * 2 + [("random_tile", "2")] * 2


def test_rows_alone_are_a_sweep(tmp_path):
    assert len(read(tmp_path, ROWS).members()) == 3


def test_each_row_of_a_table_goes_with_each_of_another_one(tmp_path):
    text = HEAD + 'table = "masks.csv"\nrows = [[{a = 1, b = 1}, {a = 2, b = 2}], [{c = 3}, {c = 4}]]\n' + RATES
    members = [dict(one.settings) for one in read(tmp_path, text, TABLE).members()]
    assert len(members) == 2 * 2 * 3 * 2
    assert {(one["a"], one["b"], one["c"]) for one in members} == {(a, a, c) for a in "12" for c in "34"}
    (tmp_path / "rates.csv").write_text("training.max_lr\n1\n2\n")
    assert len(read(tmp_path, HEAD + 'table = ["masks.csv", "rates.csv"]').members()) == 6


def test_rows_are_multiplied_with_tasks(tmp_path):
    tasks = (ROWS + RATES).replace('"brain_sampling"', '["brain_sampling", "digits_sampling"]')
    assert [one.task for one in read(tmp_path, tasks).members()] == ["brain_sampling"] * 6 + ["digits_sampling"] * 6


def test_a_table_beside_the_file_makes_the_same_members_as_rows_in_it(tmp_path):
    from_table = read(tmp_path, HEAD + 'table = "masks.csv"\n' + RATES, TABLE).members()
    assert from_table == read(tmp_path, ROWS + RATES).members()
    numbers = read(
        tmp_path, HEAD + 'table = "masks.csv"\n', "training.max_lr,model_config.gated\n1e-3,true\n"
    ).members()
    (typed,) = read(tmp_path, HEAD + 'rows = [{"training.max_lr" = 0.001, "model_config.gated" = true}]').members()
    assert numbers == [typed]


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "masks.csv").write_bytes(b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode() + b",\r\n")
    assert len(read(tmp_path, HEAD + 'table = "masks.csv"\n').members()) == 3


def test_a_list_in_a_row_is_one_value(tmp_path):
    row = '{"data.accelerations" = [4, 8], "data.center_fractions" = [0.08, 0.04]}'
    (member,) = read(tmp_path, f"{HEAD}rows = [{row}]").members()
    assert member.settings == {"data.accelerations": "4,8", "data.center_fractions": "0.08,0.04"}


def test_a_random_sweep_draws_whole_rows(tmp_path):
    random = ROWS + 'kind = "random"\nnum_members = 20\n[settings]\n"training.max_lr" = {low = 1e-4, high = 1e-2}\n'
    members = read(tmp_path, random).members()
    seeds = {(one.settings["data.mask_kind"], one.settings.get("data.mask_settings.seed")) for one in members}
    assert seeds == {("uniform", None), ("random_tile", "1"), ("random_tile", "2")}
    assert len(members) == 20


def test_members_keep_their_names_when_they_are_scored_on_test_data_too(tmp_path):
    scored = read(tmp_path, HEAD + 'test_data = "TEST"\n' + RATES)
    assert scored.test_data == "TEST"
    assert scored.members() == read(tmp_path, HEAD + RATES).members()


def test_too_many_members_of_rows_and_products_are_refused(tmp_path):
    seeds = f'"training.seed" = {list(range(400))}'
    with pytest.raises(ConfigError, match="the grid has 1,200 members"):
        read(tmp_path, ROWS + "[settings]\n" + seeds).members()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS + '[settings]\n"data.mask_kind" = ["uniform"]', "row 1 of the sweep sets data.mask_kind, and so does"),
        (HEAD + "rows = [{}]", "row 1 of the sweep is empty"),
        (HEAD + "rows = []", r"sweep.rows is a list of rows, such as \[{key = 1}, {key = 2}\]; found none"),
        (HEAD + "rows = [[]]", r"sweep.rows is a list of rows, such as \[{key = 1}, {key = 2}\]; found none"),
        (HEAD + "rows = [[{a = 1}], [{b = 2}, {a = 2}]]", "row 2 of table 2 of the sweep sets a, and so does table 1"),
        (HEAD + "rows = [{training.seed = 1}]", 'row 1 of the sweep: write "training.seed" in quotes'),
        (HEAD + 'rows = ["uniform"]', r"sweep.rows is a group of settings"),
        (HEAD + "table = 3", "sweep.table is the path of a CSV file, .* found 3"),
        (HEAD + 'table = "none.csv"', "none.csv: No such file or directory; sweep.table is a CSV file"),
    ],
)
def test_rows_that_cannot_be_meant_are_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", "masks.csv, line 3: 3 values, and the header names 2 settings"),
        ("a,b\n1\n", "masks.csv, line 2: 1 value, and the header names 2 settings"),
        ("a,a\n1,2\n", "masks.csv: each column is named by one setting of its own; found a,a"),
        ("a,\n1,2\n", "masks.csv: each column is named by one setting of its own; found a,"),
        ("a,b\n", "masks.csv: a header that names settings and a row below it are needed; found 1 line"),
        ("", "a row below it are needed; found 0 lines"),
        ('a\n"1\n', "not CSV"),
    ],
)
def test_a_table_that_is_none_is_one_line(tmp_path, table, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, HEAD + 'table = "masks.csv"\n', table)
    assert "\n" not in str(caught.value)


def test_a_table_in_another_encoding_is_one_line(tmp_path):
    (tmp_path / "masks.csv").write_bytes(b"a\nM\xfcller\n")
    with pytest.raises(ConfigError, match=r"masks\.csv: no text in UTF-8 .*; save it as CSV in UTF-8"):
        read(tmp_path, HEAD + 'table = "masks.csv"\n')
