"""`python -m inpaint_cli`, and so `accelerate launch -m inpaint_cli train ...`."""

from .cli import main

main(prog_name="inpaint")
