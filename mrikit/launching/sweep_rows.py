"""Paired settings of a sweep: rows of a table."""

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrikit.errors import ConfigError
from mrikit.words import counted


def read_table(file: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file whose header names settings; an empty cell leaves its setting as it is.

    Args:
        file: Comma-separated, in UTF-8. Numbers and `true` are read as TOML would read them, so that the same rows
            in either form are the same members.

    Raises:
        ConfigError: It cannot be read, or is no such table.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; sweep.table is a CSV file whose header names settings") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: no text in UTF-8 ({error.reason}); save it as CSV in UTF-8") from error
    lines = [(number, cells) for number, cells in _numbered(text, file) if any(cells)]
    if len(lines) < 2:
        raise ConfigError(
            f"{file}: a header that names settings and a row below it are needed; found {counted(len(lines), 'line')}"
        )
    (_, header), *rows = lines
    twice = [key for key, count in Counter(header).items() if count > 1 or not key]
    if twice:
        raise ConfigError(f"{file}: each column is named by one setting of its own; found {','.join(header)}")
    for number, cells in rows:
        if len(cells) != len(header):
            found, wanted = counted(len(cells), "value"), counted(len(header), "setting")
            raise ConfigError(
                f"{file}, line {number}: {found}, and the header names {wanted}; give each its value, or leave its "
                f"cell empty"
            )
    return [{key: _value(cell) for key, cell in zip(header, cells, strict=True) if cell} for _, cells in rows]


def require_rows(tables: Sequence[Sequence[Mapping[str, Any]]], keys: Collection[str]) -> None:
    """Refuse rows that cannot be meant.

    Args:
        tables: Paired settings.
        keys: Those that every row is combined with.

    Raises:
        ConfigError: A table or a row is empty, a row holds no plain values, or sets what is set elsewhere too.
    """
    owners = dict.fromkeys(keys, "sweep.settings for all rows")
    for number, table in enumerate(tables, 1):
        which = f" of table {number}" if len(tables) > 1 else ""
        if not table:
            raise ConfigError(f"sweep.rows is a list of rows, such as [{{key = 1}}, {{key = 2}}]; found none{which}")
        for index, row in enumerate(table, 1):
            _require_row(row, f"row {index}{which} of the sweep", owners)
        owners |= {key: f"table {number}" for row in table for key in row}


def _require_row(row: Mapping[str, Any], name: str, owners: Mapping[str, str]) -> None:
    if not row:
        raise ConfigError(f"{name} is empty; name a setting in it, or delete it")
    for key, value in row.items():
        if isinstance(value, Mapping):
            inner = next(iter(value), "key")
            raise ConfigError(f'{name}: write "{key}.{inner}" in quotes, as one key; found {value}')
        if key in owners:
            raise ConfigError(f"{name} sets {key}, and so does {owners[key]}; leave it in one")


def _numbered(text: str, file: Path) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        return [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: not CSV ({error})") from error


def _value(cell: str) -> Any:  # noqa: ANN401 - what TOML would hold
    try:
        found = json.loads(cell)
    except ValueError:
        return cell
    return found if isinstance(found, int | float) else cell
