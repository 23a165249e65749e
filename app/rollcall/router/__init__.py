"""The router: raw events in; typed, unknown and dead-letter records out."""
