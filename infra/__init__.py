"""The Azure estate as a Pulumi program: storage, Data Factory copies, Azure ML and its GPU clusters."""
