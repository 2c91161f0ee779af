"""The Azure estate before it is deployed."""
