"""python -m tokenworth, which is how torchrun and accelerate start the command line."""

from tokenworth.cli import main

if __name__ == "__main__":
    main()
