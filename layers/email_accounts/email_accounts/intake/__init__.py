"""From rows of cells to accounts: columns, values and rules."""
