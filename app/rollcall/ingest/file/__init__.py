"""Events from files to the raw topic."""
