"""Every error that mrikit raises on purpose.

    MrikitError
    |-- ConfigError       a setting is unknown, contradictory or out of range
    |-- DataError         a file or array is not what it has to be
    |-- StorageError      a path cannot be read or written
    |-- TransferError     a download stopped, expired or does not match
    |-- CheckpointError   weights do not fit or are damaged
    `-- JobError          a job could not be planned, submitted or followed

A message says what was wrong, what was found and what would do, on one line. The command line prints that line to
stderr and exits with 1; wrong usage exits with 2.
"""


class MrikitError(Exception):
    """The root: anything that a user can mend."""


class ConfigError(MrikitError):
    """A setting is unknown, contradictory or out of range."""


class DataError(MrikitError):
    """A file or an array is not what it has to be."""


class StorageError(MrikitError):
    """A path cannot be read or written."""


class TransferError(MrikitError):
    """A download stopped, expired or does not match its size or digest."""


class CheckpointError(MrikitError):
    """Weights do not fit the model or are damaged."""


class JobError(MrikitError):
    """A job could not be planned, submitted or followed."""
