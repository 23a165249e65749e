"""Events from Canvas's queue or webhook to the raw topic."""
