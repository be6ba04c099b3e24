"""Differential privacy: noise, mechanisms, accounting."""
