"""Names of the packages: `jobs/` is imported as `mrikit.commands`, and `infra/` travels as data of `mrikit.estate`."""

from setuptools import find_packages, setup

# The folders are named for the reader of the repository; a wheel brings one name, `mrikit`, into site-packages.
FOLDERS = {"mrikit": "mrikit", "mrikit.commands": "jobs", "mrikit.estate.program.infra": "infra"}

setup(
    packages=[
        name + found.removeprefix(folder)
        for name, folder in FOLDERS.items()
        for found in find_packages(include=[folder, f"{folder}.*"])
    ],
    package_dir=FOLDERS,
    package_data={
        "mrikit.report": ["*.html", "*.css", "*.js", "*.js.gz", "*.LICENSE"],
        "mrikit.evaluate.score_card": ["*.html"],
        "mrikit.transfer": ["*.toml"],
        "mrikit.estate": ["*.toml"],
    },
)
