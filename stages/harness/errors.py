"""What a user did wrong, told in one line."""


class InputError(Exception):
    """A parameter, path or file that a stage can't work with.

    The message is one line that names the key or the file. The stage harness prints it without a
    traceback and exits with status 2; nothing that an earlier run wrote has been touched.
    """
