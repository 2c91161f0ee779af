"""From the download mail to verified files: links, archives, ranged copies, unpacking."""

from mrikit.transfer.link import Link
from mrikit.transfer.mail import MailArchive, read_mail

__all__ = ["Link", "MailArchive", "read_mail"]
