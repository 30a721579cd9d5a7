"""Azure, asked through Resource Manager: azure-identity and requests."""
