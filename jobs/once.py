"""Commands that refuse an option that is given twice, where only the last one would count."""

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand


class OnceCommand(TyperCommand):
    """A command whose options are given once each, unless they are repeatable."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer brings a click of its own
        """Read the words of the command.

        Raises:
            BadParameter: An option is there twice that takes one value.
        """
        *_, order = self.make_parser(ctx).parse_args(args=[*args])
        for option, count in Counter(order).items():
            if count > 1 and _takes_one_value(option):
                raise typer.BadParameter(f"given {count} times; it takes one value", ctx, param_hint=option.opts[0])
        return super().parse_args(ctx, args)


def once(app: typer.Typer) -> None:
    """Make all commands of an app such, and those of the apps in it."""
    for command in app.registered_commands:
        command.cls = OnceCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            once(group.typer_instance)


def _takes_one_value(parameter: Any) -> bool:  # noqa: ANN401
    is_option = parameter.param_type_name == "option"
    return is_option and not (parameter.multiple or parameter.count or parameter.is_flag)
