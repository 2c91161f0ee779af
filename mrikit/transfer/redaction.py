"""Take credentials out of texts that others write: urllib3 logs the path of each request with its query."""

import logging
import re
import traceback

_URL = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
_QUERY = re.compile(r"\?[\w%.~-]+=[^\s\"'<>]*")
_SECRETS = "AWSAccessKeyId|X-Amz-(?:Signature|Credential|Security-Token)|Signature(?:Provided)?|sig"
_VALUE = re.compile(
    rf"(?i)\b({_SECRETS})(=3D|=|%3D|%253D|['\"]?\s{{0,4}}:\s{{0,4}}[\[(]?['\"]?|>)(?!\.\.\.)[^&\s\"'<>]+"
)
_LOGGERS = (
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
    "azure.core.pipeline.policies.http_logging_policy",
)


def redact(text: str) -> str:
    """A text without the queries of its URLs and without the values of signature parameters, wherever they stand."""
    text = _URL.sub(_without_query, text)
    text = _QUERY.sub("?...", text)
    return _VALUE.sub(r"\1\2...", text)


class RedactingFilter(logging.Filter):
    """Redacts the message, its arguments and its exception before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it always passes."""
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info and record.exc_info[1] is not None:
            # A handler may format the exception by itself: leave it the redacted text and nothing else.
            record.exc_text = redact("".join(traceback.format_exception(record.exc_info[1]))).rstrip()
            record.exc_info = None
        return True


def install_log_redaction() -> None:
    """Make the loggers of urllib3 and of Azure's pipeline redact what they say; calling it again changes nothing.

    A filter of a logger acts on its own records only, not on those of loggers below it: each has to have one.
    """
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, RedactingFilter) for one in logger.filters):
            logger.addFilter(RedactingFilter())


def _without_query(found: re.Match[str]) -> str:
    address, mark, _ = found.group().partition("?")
    return f"{address}{mark}..." if mark else address
