"""Parts of a process: running and stopping, health, logs, metrics, tracing, the breaker,
dead-letter records.
"""
