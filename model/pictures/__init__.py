"""Encoded pictures to upright pixels."""
