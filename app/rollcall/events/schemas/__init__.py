"""JSON Schemas of events: files, validation, violations, lint, compatibility."""
