"""Where a run runs: Flower's engine, or this process."""
