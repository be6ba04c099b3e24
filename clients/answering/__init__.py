"""The vault: private records, the policy, and every way in which something may leave."""
