"""The one exception class for mistakes a user can mend: one line that says what is wrong and what to do."""


class GrokkitError(ValueError):
    """A user error. Its message is a single line; the command line prints it without a traceback."""

    def __init__(self, message: object = ""):
        super().__init__(" ".join(str(message).split()))  # it may quote a text that somebody gave
