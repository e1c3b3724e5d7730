"""Ponctuel: back-office jobs of French small businesses, one Lambda each."""

__version__ = "0.1.0"
