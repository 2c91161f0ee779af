"""What to do first, above the help of the program and of each group."""

import typer


def show_first_steps(app: typer.Typer, *steps: str) -> None:
    """Show commands above the help where a group is called alone.

    Args:
        app: The group.
        steps: Each a command, two spaces or more, and what it does.
    """

    @app.callback(invoke_without_command=True)
    def show(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            show_steps(context, steps)

    show.__doc__ = app.info.help


def show_steps(context: typer.Context, steps: tuple[str, ...]) -> None:
    """Print the steps and the help."""
    typer.echo("first:")
    for step in steps:
        typer.echo(f"  {step}")
    typer.echo(f"\n{context.get_help()}")
