"""What a process is made of: running and ending, health, logs, metrics, tracing, the breaker, the
headers of dead letters.
"""
