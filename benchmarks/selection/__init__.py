"""Selection methods: their cost and their choices."""
