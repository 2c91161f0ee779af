"""One command of Pulumi's on a program that runs inline; a request comes in on stdin, what happened goes out.

A process of its own: Pulumi's runtime keeps one stack per process.
"""

import json
import runpy
import sys
from typing import Any

from pulumi import automation


def main() -> None:
    """Do as asked, and say what happened."""
    request = json.load(sys.stdin)

    def run() -> None:
        # As the Python host does, with the program's folder first on the path and its parent not on it.
        runpy.run_path(request["program"], run_name="__main__")

    events: list[dict[str, Any]] = []
    options: dict[str, Any] = {"on_event": lambda event: events.extend(_described(event)), **request["options"]}
    stack = automation.create_or_select_stack(
        request["stack"],
        project_name="mrikit",
        program=run,
        opts=automation.LocalWorkspaceOptions(work_dir=request["folder"]),
    )
    error = ""
    try:
        getattr(stack, request["command"])(**options)
    except automation.CommandError as failed:
        error = str(failed)
    json.dump({"events": events, "error": error}, sys.stdout)


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
