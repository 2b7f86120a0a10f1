"""The training step on a CPU in C++, compiled at first use; training/step.py is what it does."""
