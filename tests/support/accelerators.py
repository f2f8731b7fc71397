"""Accelerate keeps its state in singletons, which trainings in one process would share."""

from accelerate.state import AcceleratorState, GradientState


def forget_accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
