"""Pulumi's real engine, and Azure played by a plug-in of it."""
