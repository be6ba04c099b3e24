"""Who holds what: scenario files, groups, and how examples are drawn and spoilt."""
