"""Privacy: noise and its price, an owner's spending, relevance of records, audits and attacks."""
