"""An owner's ledger: budgets, charges, answers, and the chain that ties them."""
