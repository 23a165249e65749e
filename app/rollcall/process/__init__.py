"""Parts of a process: running and stopping, health, logs, metrics, tracing, the breaker, topics of
events, dead-letter records.

Topics of events and dead-letter records are here because router and rosters share them: events/
does not know Kafka, and kafka/ does not know events.
"""
