"""Chunks and lanes: Kafka topics consumed exactly once, on Faust. Knows nothing of Canvas.

A *chunk* holds the records of one fetch of one input partition. A *lane* takes the chunks of one
partition, in order, through a :class:`ChunkHandler`. It writes the outputs and the input's offset
as one Kafka transaction. Faust gives the consumer group, rebalances, agents and the life of
services; :mod:`rollcall.streaming.faust` is the only contact with its private parts.
"""
