"""Texts: secrets kept out of them, and what makes them safe to show."""
