"""The command line: with `engine.__main__` the composition root, which stands above all and which nothing imports."""
