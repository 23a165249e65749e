"""Stand-ins and measurements: embedded broker, simulated Canvas, demo, benchmarks."""
