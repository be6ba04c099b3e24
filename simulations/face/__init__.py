"""The library's face on runs: simulations, rankings of one's own owners and studies, as objects."""
