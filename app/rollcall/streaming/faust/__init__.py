"""The only contact with Faust's private parts: transport, consumer thread, tables.

Written against faust-streaming 0.15.3, mode-streaming 0.7.1 and aiokafka 0.14; each override names
the upstream line that it replaces. tests/streaming/faust/test_upstream.py fails when a replaced
signature changes.
"""
