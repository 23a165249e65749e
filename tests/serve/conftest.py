"""What tests of this folder share."""

from tests.forks import forks

__all__ = ["forks"]
