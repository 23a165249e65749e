"""Makes a release of Rollcall: ``make release VERSION=x.y.z``."""
