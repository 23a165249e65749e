"""Faust with chunks, exactly once. Knows nothing of Canvas.

A *chunk* is what was fetched of one input partition at once. A *lane* takes the chunks of one
partition, in order, through a :class:`ChunkHandler` and writes what comes out, together with the
input's offset, as one Kafka transaction. Faust stays the shell: the consumer group, rebalances,
agents and their life; all of its private machinery that Rollcall touches is in
:mod:`rollcall.streaming.transport`, :mod:`rollcall.streaming.consumer_thread` and
:mod:`rollcall.streaming.tables`.
"""
