"""``rollcall token``: who may ask serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

token_cli = typer.Typer(
    no_args_is_help=True, help="Tokens with which programs and people may ask 'rollcall serve'."
)

Name = Annotated[
    str,
    typer.Argument(help="Whose it is: letters, digits, '.', '_', '@', '-'.", show_default=False),
]


def _file() -> Path:
    from rollcall.errors import ConfigurationError
    from rollcall.settings import load_settings

    path = load_settings().tokens_file
    if path is None:
        raise ConfigurationError(
            "ROLLCALL_TOKENS_FILE is not set: it names the file in which the tokens' digests are "
            "kept"
        )
    return path


@token_cli.command()
def new(name: Name) -> None:
    """Make a token, and print it once: only its SHA-256 is kept. A running serve accepts it within
    a second.
    """
    from rollcall.serve.tokens import add_token

    print(add_token(_file(), name))


@token_cli.command("list")
def list_names() -> None:
    """Print the names."""
    from rollcall.serve.tokens import read_tokens

    for name in read_tokens(_file()):
        print(name)


@token_cli.command()
def revoke(name: Name) -> None:
    """Take a token back. A running serve refuses it within a second."""
    from rollcall.serve.tokens import revoke_token

    revoke_token(_file(), name)
