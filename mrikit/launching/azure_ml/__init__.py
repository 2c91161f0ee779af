"""Jobs on Azure ML."""
