"""The commands of mrikit and the back ends that run them."""
