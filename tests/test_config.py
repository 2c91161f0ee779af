from dataclasses import dataclass

import pytest

from mrikit.config import build_config, parse_assignments
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
