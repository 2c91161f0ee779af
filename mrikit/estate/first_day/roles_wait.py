"""Patience with roles that services do not know yet."""

import re
import time
from collections.abc import Callable
from typing import TypeVar

from mrikit.errors import MrikitError

T = TypeVar("T")

_NOT_YET = re.compile(r"AuthorizationPermissionMismatch|using this permission|ForbiddenByRbac|AuthorizationFailed")
"""What Blob, Key Vault and the control plane say to somebody without a role, or with one that is minutes old. A
firewall says AuthorizationFailure or ForbiddenByFirewall, and waiting does not mend that."""


class RolesWait:
    """One time for all steps together: roles are given by `pulumi up`, before any of them.

    Args:
        seconds: Until a refusal counts. A new role can take ten minutes to work.
        look_s: Between two tries.
        say: Called with one line before the wait.

    Source:
        https://learn.microsoft.com/azure/role-based-access-control/troubleshooting ("role assignment changes are not
        being detected": up to 10 minutes).
    """

    def __init__(self, seconds: float, look_s: float, say: Callable[[str], None]) -> None:
        self._end_s = time.monotonic() + seconds
        self._look_s, self._say = look_s, say

    def call(self, act: Callable[[], T], name: str) -> T:
        """What `act` returns, once it is not refused for a role any more.

        Raises:
            MrikitError: What `act` raises for another reason, or still raises at the end of the time.
        """
        has_said = False
        while True:
            try:
                return act()
            except MrikitError as error:
                left_s = self._end_s - time.monotonic()
                if not _NOT_YET.search(str(error)) or left_s <= 0:
                    raise
                if not has_said:
                    self._say(f"{name}: refused, as for a role that is minutes old; asking for {left_s:.0f} s more")
                    has_said = True
            time.sleep(min(self._look_s, left_s))
