"""Names of the packages: `jobs/` is imported as `mrikit.commands`, and `infra/` travels as data of `mrikit.estate`."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# The folders are named for the reader of the repository; a wheel brings one name, `mrikit`, into site-packages.
FOLDERS = {"mrikit": "mrikit", "mrikit.commands": "jobs", "mrikit.estate.program.infra": "infra"}


class BuildWithProject(build_py):
    """Puts Pulumi's project file and its examples beside the program, as they lie in the repository."""

    def run(self) -> None:
        """Build as ever, then copy."""
        super().run()
        if not self.editable_mode:
            for file in (*Path().glob("Pulumi.yaml"), *Path().glob("Pulumi.example*.yaml")):
                self.copy_file(file, f"{self.build_lib}/mrikit/estate/program/{file.name}")


setup(
    cmdclass={"build_py": BuildWithProject},
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
        "mrikit.estate.program.infra": ["*.txt", "*.md", "workflows/*", "policies/*.*"],
    },
)
