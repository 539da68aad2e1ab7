"""`python -m diffir` is the command line."""

from diffir.cli import main

if __name__ == "__main__":
    main()
