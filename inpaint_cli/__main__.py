"""`python -m inpaint_cli`, and so `accelerate launch -m inpaint_cli train ...`."""

from .cli import main

if __name__ == "__main__":  # worker processes import this too
    main(prog_name="inpaint")
