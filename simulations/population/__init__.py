"""The owners' data in a simulation: scenario files, groups, and how examples are drawn and spoilt."""
