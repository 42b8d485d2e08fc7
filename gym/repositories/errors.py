"""What a repository that can't be had is told by."""


class RepositoryError(ValueError):
    """One line that names the package or the repository and says what is wrong; a caller may go on without it."""
