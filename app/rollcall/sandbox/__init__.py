"""What is somebody else's in production, and what measures: embedded broker, simulated Canvas,
demo, benchmark.
"""
