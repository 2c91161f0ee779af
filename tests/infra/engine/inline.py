"""Pulumi's commands on programs that run inline: a request comes in as a line, what happened goes out as one.

A process of its own, because Pulumi's runtime keeps what is global; one for many commands, because the provider's
package takes seconds to import.
"""

import json
import runpy
import sys
from collections.abc import Callable
from typing import Any

from pulumi import automation


def main() -> None:
    """Do as asked, line by line."""
    answers, sys.stdout = sys.stdout, sys.stderr
    pulumi = automation.PulumiCommand()
    for line in sys.stdin:
        answers.write(json.dumps(_do(pulumi, json.loads(line))) + "\n")
        answers.flush()


def _do(pulumi: automation.PulumiCommand, request: dict[str, Any]) -> dict[str, Any]:
    events: list[dict[str, Any]] = []
    stack = automation.create_or_select_stack(
        request["stack"],
        project_name="mrikit",
        program=_program(request["program"]),
        opts=automation.LocalWorkspaceOptions(
            work_dir=request["folder"], env_vars=request["environment"], pulumi_command=pulumi
        ),
    )
    error = ""
    try:
        command = getattr(stack, request["command"])
        command(on_event=lambda event: events.extend(_described(event)), **request["options"])
    except automation.CommandError as failed:
        error = str(failed)
    return {"events": events, "error": error}


def _program(folder: str) -> Callable[[], None]:
    """As the Python host runs it: anew, with its folder first on the path and the folder's parent not on it."""

    def run() -> None:
        path = [*sys.path]
        for name in [name for name in sys.modules if name.partition(".")[0] == "infra"]:
            del sys.modules[name]
        try:
            runpy.run_path(folder, run_name="__main__")
        finally:
            sys.path[:] = path

    return run


def _described(event: Any) -> list[dict[str, Any]]:
    """What tests look at."""
    if step := event.resource_pre_event:
        # The engine leaves out what stays the same, where it can.
        return [_step("planned", step.metadata)]
    if step := event.res_outputs_event:
        return [_step("done", step.metadata)]
    if step := event.res_op_failed_event:
        return [_step("failed", step.metadata)]
    if (said := event.diagnostic_event) and said.severity != "debug":
        return [{"what": "said", "severity": said.severity, "message": said.message, "urn": said.urn}]
    if said := event.policy_event:
        keys = ("resource_urn", "policy_name", "enforcement_level", "message")
        return [{"what": "policy", **{key: getattr(said, key) for key in keys}}]
    if event.summary_event:
        return [{"what": "summary", "changes": dict(event.summary_event.resource_changes)}]
    return []


def _step(what: str, metadata: Any) -> dict[str, Any]:
    inputs = metadata.new.inputs if metadata.new else {}
    return {"what": what, "op": metadata.op, "urn": metadata.urn, "type": metadata.type, "inputs": inputs}


if __name__ == "__main__":
    main()
