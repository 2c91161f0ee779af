"""`python -m mrikit`: the command line."""

from mrikit.commands.app import main

if __name__ == "__main__":
    main()
