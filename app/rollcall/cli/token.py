"""``rollcall token``: the tokens that serve accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

token_cli = typer.Typer(
    no_args_is_help=True, help="Tokens that give programs and people access to 'rollcall serve'."
)

Name = Annotated[
    str,
    typer.Argument(
        help="The owner's name: letters, digits, '.', '_', '@', '-'.", show_default=False
    ),
]


def _file() -> Path:
    from rollcall.errors import ConfigurationError
    from rollcall.settings import load_settings

    path = load_settings().tokens_file
    if path is None:
        raise ConfigurationError(
            "ROLLCALL_TOKENS_FILE is not set: it names the file that holds the tokens' digests"
        )
    return path


@token_cli.command()
def new(name: Name) -> None:
    """Create a token and print it once: only its SHA-256 is stored. A running serve accepts it
    within a second.
    """
    from rollcall.serve.tokens import add_token

    print(add_token(_file(), name))


@token_cli.command("list")
def list_names() -> None:
    """Print the owners' names."""
    from rollcall.serve.tokens import read_tokens

    for name in read_tokens(_file()):
        print(name)


@token_cli.command()
def revoke(name: Name) -> None:
    """Revoke a token. A running serve refuses it within a second."""
    from rollcall.serve.tokens import revoke_token

    revoke_token(_file(), name)
