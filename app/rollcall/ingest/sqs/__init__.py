"""Events from Canvas's SQS queue to the raw topic."""
