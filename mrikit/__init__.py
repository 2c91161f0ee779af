"""mrikit: from the fastMRI download mail to a scored reconstruction."""

__version__ = "0.1.0"
