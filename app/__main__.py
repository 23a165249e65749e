"""``python -m app`` is the command ``rollcall``."""

from app.cli.main import main

main()
