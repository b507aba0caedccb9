"""Forwards ledger entries to the bank core."""
