from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mrikit.config import build_config, change_config, parse_assignments
from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Settings:
    num_steps: int = 3
    weight: float = 0.5
    is_deep: bool = False
    name: str = "a"


def test_words_are_read_as_the_fields_type():
    settings = parse_assignments(["num_steps=4", "weight=1e-3", "is_deep=true", "name=b=c"])
    assert build_config(Settings, settings, "model") == Settings(num_steps=4, weight=1e-3, is_deep=True, name="b=c")
    assert build_config(Settings, {"weight": 1, "num_steps": 2}, "model") == Settings(num_steps=2, weight=1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_step": 1}, "model has no setting 'num_step'; did you mean 'num_steps'?"),
        ({"zzz": 1}, "model has no setting 'zzz'; it has num_steps, weight, is_deep, name"),
        ({"num_steps": "many"}, "model.num_steps is of type int, found 'many'"),
        ({"num_steps": 1.5}, "model.num_steps is of type int, found 1.5"),
        ({"num_steps": True}, "model.num_steps is of type int, found True"),
        ({"is_deep": "perhaps"}, "model.is_deep is of type bool, found 'perhaps'"),
        ({"name": 3}, "model.name is of type str, found 3"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings, message):
    with pytest.raises(ConfigError) as caught:
        build_config(Settings, settings, "model")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "a setting is written key=value, found 'a'"),
        (["=1"], "a setting is written key=value, found '=1'"),
        (["a=1", "a=2"], "a is set twice: '1' and '2'; keep one"),
    ],
)
def test_a_wrong_assignment_is_one_clear_line(words, message):
    with pytest.raises(ConfigError) as caught:
        parse_assignments(words)
    assert str(caught.value) == message


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = "a"
    inner: Inner = field(default_factory=Inner)
    extra: Mapping[str, Any] = field(default_factory=dict)


def test_a_part_of_a_part_is_changed_and_the_rest_stays():
    before = Outer(name="b", inner=Inner(rate=0.2), extra={"x": 1, "y": 2})
    after = change_config(before, {"inner.sizes": "3,4,5", "extra.y": "7", "extra.z": True}, "run")
    assert after == Outer(name="b", inner=Inner(rate=0.2, sizes=(3, 4, 5)), extra={"x": 1, "y": "7", "z": True})
    assert before == Outer(name="b", inner=Inner(rate=0.2), extra={"x": 1, "y": 2})


@pytest.mark.parametrize("value", ["3", 3, [3], (3,)])
def test_a_tuple_may_be_written_in_many_ways(value):
    assert change_config(Outer(), {"inner.sizes": value}, "run").inner.sizes == (3,)


@pytest.mark.parametrize("value", ["", [], ()])
def test_a_tuple_may_be_empty(value):
    assert change_config(Outer(), {"inner.sizes": value}, "run").inner.sizes == ()


def test_a_group_is_read_from_a_mapping():
    found = build_config(Outer, {"inner": {"rate": 1, "sizes": [4]}, "extra": {"k": [1]}}, "run")
    assert found == Outer(inner=Inner(rate=1.0, sizes=(4,)), extra={"k": [1]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner.rat": 1}, "run.inner has no setting 'rat'; did you mean 'rate'?"),
        ({"iner.rate": 1}, "run has no setting 'iner'; did you mean 'inner'?"),
        ({"inner.sizes": "1,x"}, "run.inner.sizes is of type int, found 'x'"),
        ({"inner.rate": "high"}, "run.inner.rate is of type float, found 'high'"),
        ({"inner": "0.5"}, "run.inner is a group of settings; set one of them, as in run.inner.rate=..."),
        ({"extra": "0.5"}, "run.extra is a group of settings; set one of them, as in run.extra.key=value"),
        ({"name.first": "x"}, "run.name is one value and has no settings first"),
    ],
)
def test_a_wrong_change_is_one_clear_line(settings, message):
    with pytest.raises(ConfigError) as caught:
        change_config(Outer(), settings, "run")
    assert str(caught.value) == message
