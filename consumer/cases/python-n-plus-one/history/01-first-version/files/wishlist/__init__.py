"""Wish lists."""
